//! The one binary `streamspace`: the processes that it can be, and the commands that talk to them.
//!
//! A file per command or noun, each thin: what it does is in the other rooms. Errors leave through [`failure`], words on
//! stdout through `output`, settings come in through `settings`.

mod args;
pub mod children;
mod client;
mod controller;
mod dev;
mod failure;
mod files;
mod host;
mod limits;
mod migrate;
mod misplaced;
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
use client::Asker;
use failure::Failure;
use output::Screen;

/// Runs one command; the exit codes are those of `failure::Kind`.
#[must_use]
pub fn main() -> ExitCode {
    // Before there is a thread or an open file: this may be a process of a session, on its way to become its program.
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    if let Some(code) = platforms::helper(&arguments.take(3).collect::<Vec<_>>()) {
        return code;
    }
    // First of all: two parts of the process that chose a provider each would panic at the first connection.
    let chosen = rustls::crypto::ring::default_provider().install_default();
    drop(chosen); // it only fails where one is installed already
    let cli = misplaced::parse();
    let screen = Screen::from(cli.looks);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return screen.failure(&Failure::from(error)),
    };
    let answer = runtime.block_on(run(cli, screen));
    // What still blocks (a name look-up, a read of a terminal) must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => screen.failure(&failure),
    }
}

/// All that can be said on the command line: what man pages, completions and tests are made of.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

async fn run(cli: Cli, screen: Screen) -> Result<(), Failure> {
    let telemetry = telemetry::start(cli.command.role(), cli.log_format)?;
    let asker = Asker { screen, context: cli.context };
    let answer = match cli.command {
        Command::Dev(args) => dev::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Controller(args) => controller::dispatch(args, asker).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Session(args) => client::session::run(args, asker).await,
        Command::App(args) => client::app::run(args, asker).await,
        Command::Template(args) => client::template::run(args, asker).await,
        Command::Home(args) => client::home::run(args, asker).await,
        Command::Job(args) => client::job::run(args, asker).await,
        Command::Event(args) => client::event::run(args, asker).await,
        Command::Queue(args) => client::queue::run(args, asker).await,
        Command::Verify(args) => client::verify::run(args, asker).await,
        Command::Streams(args) => client::streams::run(args, asker).await,
        Command::Doctor(args) => client::doctor::run(args, asker).await,
        Command::Dlq(args) => client::dlq::run(args, asker).await,
        Command::Watch(args) => client::watch::run(args, asker).await,
        Command::Context(args) => client::context::run(args, asker),
        Command::Completions(args) => args.run(),
        Command::Man(args) => args.run(),
        Command::Scratchpad(args) => scratchpad::run(args).await,
    };
    telemetry.stop().await;
    answer
}
