//! `streamspace platform`: the platforms that controllers announce, and what they offer.

use serde_json::Value;

use super::{ClientFactory, Server};
use crate::failure::{Failure, Kind};
use crate::output::{self, Column, cell, printable};

const EXAMPLES: &str = "\
Examples:
  streamspace platform list
  streamspace platform get docker
  streamspace platform schema docker";

/// Arguments of `streamspace platform`.
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
    /// List the known platforms, and whether each accepts sessions now
    #[command(after_help = "Example:\n  streamspace platform list -o wide")]
    List,
    /// Show what a platform offers
    #[command(after_help = "Example:\n  streamspace platform get docker -o json | jq .attributes")]
    Get {
        /// Name of the platform
        #[arg(value_name = "PLATFORM")]
        name: String,
    },
    /// Print the JSON Schema of its block in templates
    #[command(after_help = "Example:\n  streamspace platform schema docker > docker.schema.json")]
    Schema {
        /// Name of the platform
        #[arg(value_name = "PLATFORM")]
        name: String,
    },
}

const PLATFORM: [Column; 7] = [
    Column::field("PLATFORM", "platform").rank(0),
    Column::field("ACCEPTING", "accepting").rank(1),
    Column::field("HEALTHY", "healthy").rank(2),
    Column::field("FREE", "capacity_free").rank(3),
    Column::field("KEEPS", "keeps").rank(4),
    Column::made("ATTRIBUTES", attributes).rank(6),
    Column::field("REASON", "reason").rank(5),
];

const FACTS: [Column; 11] = [
    Column::field("Platform", "platform"),
    Column::field("Accepting", "accepting"),
    Column::field("Reason", "reason"),
    Column::field("Controllers", "controllers"),
    Column::field("Healthy", "healthy"),
    Column::field("Free", "capacity_free"),
    Column::field("Lane", "lane"),
    Column::made("Capabilities", capabilities),
    Column::made("Attributes", attributes),
    Column::field("Keeps", "keeps"),
    Column::field("Schema", "template_schema_hash"),
];

fn texts(values: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(text).collect::<Vec<_>>().join(",")
}

fn capabilities(row: &Value) -> String {
    texts(&row["capabilities"])
}

fn attributes(row: &Value) -> String {
    let pairs = row["attributes"].as_object().into_iter().flatten();
    pairs.map(|(name, values)| format!("{name}={}", texts(values))).collect::<Vec<_>>().join(" ")
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    let page = console.client.get("/platforms", &[]).await?;
    let rows = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    match args.command {
        Command::List if console.screen.quiet => {
            rows.iter().for_each(|row| output::line(printable(&cell(row, "platform"))));
            Ok(())
        }
        Command::List => console.screen.list(&PLATFORM, rows, "no controller has announced a platform"),
        Command::Get { name } => {
            let row = named(rows, &name)?;
            if !console.screen.machine(row)? {
                console.screen.facts(&FACTS, row);
            }
            Ok(())
        }
        Command::Schema { name } => {
            let schema = &named(rows, &name)?["template_schema"];
            if schema.is_null() {
                let what =
                    format!("no controller of platform {name} has announced the schema of its block in templates");
                return Err(Failure::new(Kind::NotFound, what));
            }
            if !console.screen.machine(schema)? {
                output::line(serde_json::to_string_pretty(schema).unwrap_or_default());
            }
            Ok(())
        }
    }
}

fn named<'a>(rows: &'a [Value], name: &str) -> Result<&'a Value, Failure> {
    let row = rows.iter().find(|row| row["platform"] == name);
    let missing =
        || Failure::new(Kind::NotFound, format!("no platform {name} is known")).hint("`streamspace platform list`");
    row.ok_or_else(missing)
}
