//! The binary `streamspace`: the services that it can run, and the commands that call them.
//!
//! A thin file per command or noun; the work is done in the other crates. Errors leave through [`failure`],
//! output through `output`, settings come in through `settings`.

mod args;
pub mod children;
mod client;
mod conformance;
mod controller;
mod dev;
mod failure;
mod files;
mod host;
mod limits;
mod migrate;
mod misplaced;
mod nats_config;
mod output;
mod platforms;
mod scratchpad;
mod serve;
mod settings;
mod shell;
mod shutdown;
mod telemetry;
mod traffic;

use std::process::ExitCode;

use clap::CommandFactory;

use args::{Cli, Command};
use client::ClientFactory;
use failure::Failure;
use output::Screen;

/// Runs one command; the exit codes are those of `failure::Kind`.
#[must_use]
pub fn main() -> ExitCode {
    // Before any thread or open file exists: this may be the launcher of a session, about to execute its program.
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    if let Some(code) = platforms::helper(&arguments.take(3).collect::<Vec<_>>()) {
        return code;
    }
    // First of all, because parts of the process that choose different providers panic at the first TLS connection.
    let chosen = rustls::crypto::ring::default_provider().install_default();
    drop(chosen); // it fails only if one is installed already
    let cli = misplaced::parse();
    let screen = Screen::from(cli.output);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return screen.failure(&Failure::from(error)),
    };
    let answer = runtime.block_on(run(cli, screen));
    // Blocking calls (a name lookup, a read from a terminal) must not delay the exit.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => screen.failure(&failure),
    }
}

/// The complete command line, for man pages, completions and tests.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

async fn run(cli: Cli, screen: Screen) -> Result<(), Failure> {
    let telemetry = telemetry::start(cli.command.role(), cli.log_format)?;
    let factory = ClientFactory { screen, context: cli.context };
    let answer = match cli.command {
        Command::Dev(args) => dev::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Controller(args) => controller::dispatch(args, factory).await,
        Command::Conformance(args) => conformance::run(args, screen).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::NatsConfig(args) => nats_config::run(args),
        Command::Session(args) => client::session::run(args, factory).await,
        Command::App(args) => client::app::run(args, factory).await,
        Command::Template(args) => client::template::run(args, factory).await,
        Command::Home(args) => client::home::run(args, factory).await,
        Command::Platform(args) => client::platform::run(args, factory).await,
        Command::Job(args) => client::job::run(args, factory).await,
        Command::Event(args) => client::event::run(args, factory).await,
        Command::Queue(args) => client::queue::run(args, factory).await,
        Command::Verify(args) => client::verify::run(args, factory).await,
        Command::Streams(args) => client::streams::run(args, factory).await,
        Command::Doctor(args) => client::doctor::run(args, factory).await,
        Command::Dlq(args) => client::dlq::run(args, factory).await,
        Command::Watch(args) => client::watch::run(args, factory).await,
        Command::Context(args) => client::context::run(args, factory),
        Command::Completions(args) => args.run(),
        Command::Man(args) => args.run(),
        Command::Scratchpad(args) => scratchpad::run(args).await,
    };
    telemetry.stop().await;
    answer
}
