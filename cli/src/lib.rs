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
mod migrate;
mod output;
mod scratchpad;
mod serve;
mod settings;
mod shutdown;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Failure;

/// Runs one command; the exit codes are those of `failure::Kind`.
#[must_use]
pub fn main() -> ExitCode {
    // First of all: two parts of the process that chose a provider each would panic at the first connection.
    let chosen = rustls::crypto::ring::default_provider().install_default();
    drop(chosen); // it only fails where one is installed already
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failure(&Failure::from(error)),
    };
    let answer = runtime.block_on(run(cli));
    // What still blocks (a name look-up, a read of a terminal) must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output::failure(&failure),
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let role = cli.command.role();
    let telemetry = telemetry::start(role, cli.log_format)?;
    let answer = match cli.command {
        Command::Dev(args) => dev::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Controller(args) => controller::dispatch(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Session(args) => client::session::run(args).await,
        Command::Template(args) => client::template::run(args).await,
        Command::Dlq(args) => client::dlq::run(args).await,
        Command::Scratchpad(args) => scratchpad::run(args).await,
    };
    telemetry.stop().await;
    answer
}
