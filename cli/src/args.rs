//! What can be said on the command line: the commands, and what all of them share.

use clap::{Parser, Subcommand, ValueEnum};

use crate::output::{GLOBAL, Looks};
use crate::{client, controller, dev, migrate, scratchpad, serve, shell};

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
  130  Ctrl-C; what was accepted goes on

Start with `streamspace dev`, then `streamspace session create scratchpad --wait`.";

/// A control plane for streamed sessions.
#[derive(Debug, Parser)]
#[command(name = "streamspace", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) looks: Looks,
    /// The server to ask, by the name that `streamspace context` knows it by
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL)]
    pub(crate) context: Option<String>,
    /// How logs look on stderr: text (on a terminal) or json (elsewhere). RUST_LOG says which of them.
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
    /// Everything in one place: API, engine, nats-server, SQLite and a local controller.
    Dev(dev::Args),
    /// API and engine, on PostgreSQL and a NATS server that are there already.
    Serve(serve::Args),
    /// Runs a platform controller; `controller list`, `get`, `hold` and others are about those that are known.
    Controller(controller::Args),
    /// The database's schema.
    Migrate(migrate::Args),
    /// Sessions: create, list, watch, hibernate, wake, delete, one or many.
    Session(client::session::Args),
    /// Applications on a platform: install, list, get, watch, uninstall.
    App(client::app::Args),
    /// Templates: what a session can be made from.
    Template(client::template::Args),
    /// Persistent homes: list, delete.
    Home(client::home::Args),
    /// Jobs: what was asked of many things at once.
    Job(client::job::Args),
    /// The log of everything: every command, report and decision.
    Event(client::event::Args),
    /// What waits, for what, and why.
    Queue(client::queue::Args),
    /// What is wrong, in words, and what to do about it.
    Doctor(client::doctor::Args),
    /// Dead letters: what could not be processed, kept until somebody decides.
    Dlq(client::dlq::Args),
    /// Whether the log and the tables say the same; repairs what differs.
    Verify(client::verify::Args),
    /// JetStream itself: made anew from the log.
    Streams(client::streams::Args),
    /// Prints every change as it happens.
    Watch(client::watch::Args),
    /// The servers that this program knows, and which of them it asks.
    Context(client::context::Args),
    /// Completions for a shell.
    Completions(shell::Completions),
    /// The manual, as man pages.
    Man(shell::Man),
    /// The notes page of the built-in template; the local controller runs it.
    #[command(hide = true)]
    Scratchpad(scratchpad::Args),
}

/// What a process is, in logs and traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It serves, under this name.
    Service(&'static str),
    /// It asks a server something and ends.
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
