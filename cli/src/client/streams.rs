//! `streamspace streams`: what an operator does to JetStream itself.

use serde_json::json;

use super::{Asker, Server};
use crate::failure::Failure;
use crate::output::{self, cell, printable};

/// `streamspace streams`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Deletes the streams of commands and reports, and makes them anew from the log
    #[command(after_help = "\
Example:
  streamspace streams rebuild --reason \"the store is damaged\" --yes

Every open command is published again, under a new epoch, and controllers tell what exists; what was done
is not done again. The stream of dead letters stays. Sessions that run go on meanwhile.")]
    Rebuild {
        /// Why, for whoever asks later
        #[arg(long, value_name = "WHY")]
        reason: String,
        /// Yes, delete what is in the streams now
        #[arg(long, required = true)]
        yes: bool,
    },
}

/// Does one of them.
pub(crate) async fn run(args: Args, asker: Asker) -> Result<(), Failure> {
    let console = asker.console(&args.server)?;
    let Command::Rebuild { reason, yes: _ } = args.command;
    let rebuilt = console.client.post("/admin/streams/rebuild", Some(&json!({ "reason": reason }))).await?;
    if !console.screen.machine(&rebuilt)? {
        let (commands, epoch) = (cell(&rebuilt, "commands"), cell(&rebuilt, "epoch"));
        output::line(printable(&format!(
            "the streams are in epoch {epoch}; commands that are published again: {commands}"
        )));
    }
    Ok(())
}
