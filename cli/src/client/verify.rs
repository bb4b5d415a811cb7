//! `streamspace verify`: compares the log with the tables.

use serde_json::json;

use super::wait::Wait;
use super::{ClientFactory, Server, job};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  streamspace verify --wait --timeout 1h
  streamspace verify --repair --yes --wait
  streamspace job list --kind log.verify";

/// Arguments of `streamspace verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Set rows that differ to what the log says; gaps and lost rows are only reported
    #[arg(long, requires = "yes")]
    repair: bool,
    /// Confirm: change rows
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    server: Server,
}

/// Starts the job; with --wait, any remaining difference is a failure.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    let job = console.client.post("/admin/verify", Some(&json!({ "repair": args.repair }))).await?;
    job::finish(&console, job, args.wait).await
}
