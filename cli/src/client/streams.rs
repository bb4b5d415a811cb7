//! `streamspace streams`: operations on JetStream itself.

use serde_json::json;

use super::{ClientFactory, Server};
use crate::failure::Failure;
use crate::output::{self, cell, printable};

/// Arguments of `streamspace streams`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Delete the streams of commands and reports, and rebuild them from the log
    #[command(after_help = "\
Example:
  streamspace streams rebuild --reason \"the store is damaged\" --yes

Every open command is published again, under a new epoch, and controllers report what exists; nothing is
done twice. The stream of dead letters stays. Running sessions are not affected.")]
    Rebuild {
        /// Reason, kept in the log
        #[arg(long, value_name = "WHY")]
        reason: String,
        /// Confirm: delete the messages that are in the streams now
        #[arg(long, required = true)]
        yes: bool,
    },
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    let Command::Rebuild { reason, yes: _ } = args.command;
    let rebuilt = console.client.post("/admin/streams/rebuild", Some(&json!({ "reason": reason }))).await?;
    if !console.screen.machine(&rebuilt)? {
        let (commands, epoch) = (cell(&rebuilt, "commands"), cell(&rebuilt, "epoch"));
        output::line(printable(&format!(
            "the streams are rebuilt (epoch {epoch}); commands to be published again: {commands}"
        )));
    }
    Ok(())
}
