//! `streamspace home`: persistent homes, as reported by the controllers that keep them.

use serde_json::Value;

use super::{ClientFactory, Server, segment};
use crate::failure::Failure;
use crate::output::{self, Column, cell, printable};

const EXAMPLES: &str = "\
Examples:
  streamspace home list --user ada
  streamspace home delete local-1 0f3a… --yes";

/// Arguments of `streamspace home`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the homes that outlive their sessions
    #[command(after_help = "Example:\n  streamspace home list --user ada -o json | jq '.[].bytes'")]
    List {
        /// Filter by user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Delete a home that no session uses, with everything in it
    #[command(after_help = "Example:\n  streamspace home delete local-1 NAME --yes")]
    Delete {
        /// Controller that keeps the home
        #[arg(value_name = "CONTROLLER")]
        controller: String,
        /// Name of the home on that controller
        #[arg(value_name = "NAME")]
        name: String,
        /// Confirm: the deletion cannot be undone
        #[arg(long)]
        yes: bool,
    },
}

const HOME: [Column; 5] = [
    Column::field("CONTROLLER", "controller_id").rank(1),
    Column::field("NAME", "name").rank(0),
    Column::field("USER", "user_id").rank(2),
    Column::field("BYTES", "bytes").rank(3),
    Column::made("SESSIONS", sessions).rank(4),
];

fn sessions(row: &Value) -> String {
    let sessions = row["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
    sessions.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    match args.command {
        Command::List { user } => {
            let homes = console.client.get("/homes", &[("user_id", user)]).await?;
            for silent in homes["silent"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                output::note(format!("controller {silent} does not answer: its homes are not listed"));
            }
            if homes["truncated"] == true {
                output::note("the list is incomplete; use --user to list the homes of one user");
            }
            let rows = homes["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            if console.screen.quiet {
                rows.iter().for_each(|row| output::line(printable(&cell(row, "name"))));
                return Ok(());
            }
            console.screen.list(&HOME, rows, "no controller keeps a home")
        }
        Command::Delete { controller, name, yes } => {
            if !yes {
                return Err(Failure::usage("deleting a home destroys the files in it").hint("add --yes to confirm"));
            }
            let path = format!("/homes/{}/{}", segment(&controller), segment(&name));
            let gone = console.client.delete(&path, &[]).await?;
            if !console.screen.machine(&gone)? {
                output::line(printable(&format!("{}  deleted", cell(&gone, "name"))));
            }
            Ok(())
        }
    }
}
