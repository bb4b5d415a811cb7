//! `streamspace verify`: whether the log and the tables say the same.

use serde_json::json;

use super::wait::Wait;
use super::{Asker, Server, job};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  streamspace verify --wait --timeout 1h
  streamspace verify --repair --yes --wait
  streamspace job list --kind log.verify";

/// `streamspace verify`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Set rows that differ to what the log says; gaps and lost rows are only told
    #[arg(long, requires = "yes")]
    repair: bool,
    /// Yes, change rows
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    server: Server,
}

/// Asks for it; with --wait it is a failure where anything does not agree.
pub(crate) async fn run(args: Args, asker: Asker) -> Result<(), Failure> {
    let console = asker.console(&args.server)?;
    let job = console.client.post("/admin/verify", Some(&json!({ "repair": args.repair }))).await?;
    job::finish(&console, job, args.wait).await
}
