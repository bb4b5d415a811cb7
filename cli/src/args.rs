//! The command line: its commands and the options that they share.

use clap::{Parser, Subcommand, ValueEnum};

use crate::output::{GLOBAL, OutputOptions};
use crate::{client, conformance, controller, dev, migrate, nats_config, scratchpad, serve, shell};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed, refused, or ended in a failed state
  2    wrong usage or settings
  3    not found
  4    conflict: a state, a version or a lock that does not permit it
  5    unavailable, or not in time
  6    no valid token, or not enough rights
  7    `doctor` found something wrong
  130  Ctrl-C; accepted work continues on the server

Start with `streamspace dev`, then `streamspace session create scratchpad --wait`.";

/// A control plane for streamed sessions.
#[derive(Debug, Parser)]
#[command(name = "streamspace", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    /// Context to use, one of `streamspace context list`
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL)]
    pub(crate) context: Option<String>,
    /// Log format on stderr: text (the default on a terminal) or json (the default elsewhere). RUST_LOG sets
    /// the level.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "STREAMSPACE_LOG_FORMAT",
        hide_env = true,
        hide_possible_values = true,
        help_heading = GLOBAL
    )]
    pub(crate) log_format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: API, engine, nats-server, SQLite and a local controller.
    Dev(dev::Args),
    /// Run API and engine against an existing PostgreSQL and NATS.
    Serve(serve::Args),
    /// Run a platform controller, or manage controllers with `list`, `get`, `hold` and others.
    Controller(controller::Args),
    /// Examine a controller in any language: start it, kill it, and check what it promises.
    Conformance(conformance::Args),
    /// Apply, revert or list the steps of the database schema.
    Migrate(migrate::Args),
    /// Write a configuration for nats-server with a key and the least rights for each role.
    NatsConfig(nats_config::Args),
    /// Create, list, watch, hibernate, wake and delete sessions, one or many.
    Session(client::session::Args),
    /// Install, list, watch and uninstall applications on a platform.
    App(client::app::Args),
    /// Manage the templates that sessions are created from.
    Template(client::template::Args),
    /// List and delete persistent homes.
    Home(client::home::Args),
    /// List the platforms that controllers announce, and what they offer.
    Platform(client::platform::Args),
    /// List, watch, resume and cancel bulk actions.
    Job(client::job::Args),
    /// Read the log of every command, report and decision.
    Event(client::event::Args),
    /// Show what waits, for what, and why.
    Queue(client::queue::Args),
    /// Check the installation, and say what to do about each finding.
    Doctor(client::doctor::Args),
    /// Inspect, replay, correct and discard messages that could not be processed (dead letters).
    Dlq(client::dlq::Args),
    /// Compare the log with the tables, and repair rows that differ.
    Verify(client::verify::Args),
    /// Rebuild the JetStream streams from the log.
    Streams(client::streams::Args),
    /// Print every change as it happens.
    Watch(client::watch::Args),
    /// Manage the servers that this program knows by name.
    Context(client::context::Args),
    /// Print completions for a shell.
    Completions(shell::Completions),
    /// Print the manual, or write its man pages.
    Man(shell::Man),
    /// Serve the notes page of the built-in template; started by the local controller.
    #[command(hide = true)]
    Scratchpad(scratchpad::Args),
}

/// How this process logs and traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A long-running service, traced under this name.
    Service(&'static str),
    /// A command that calls a server and exits.
    Client,
}

impl Command {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Dev(_) => Role::Service("dev"),
            Self::Serve(_) => Role::Service("serve"),
            Self::Controller(args) if args.runs() => Role::Service("controller"),
            _ => Role::Client,
        }
    }
}
