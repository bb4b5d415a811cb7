//! `streamspace dlq`: what could not be processed, and what is to become of it.

use serde_json::Value;
use uuid::Uuid;

use super::{Client, Server};
use crate::failure::Failure;
use crate::output::{self, Column, cell};

/// `streamspace dlq`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists dead letters, newest first
    List {
        /// Those in this state
        #[arg(long, default_value = "open", value_parser = ["open", "replayed", "discarded", "all"])]
        status: String,
        /// The most to show
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Shows one, with its payload and the history of its errors
    Show {
        /// The dead letter
        id: Uuid,
    },
    /// Lets it be processed again, when what stopped it is mended
    Replay {
        /// The dead letters
        #[arg(required = true)]
        ids: Vec<Uuid>,
    },
}

const COLUMNS: &[Column] = &[
    ("ID", |row| cell(row, "id")),
    ("SUBJECT", |row| cell(row, "subject")),
    ("REASON", |row| cell(row, "reason")),
    ("ENTITY", |row| cell(row, "entity")),
    ("STATUS", |row| cell(row, "status")),
    ("CREATED", |row| cell(row, "created_at")),
    ("ERROR", |row| cell(row, "error")),
];

/// Does one of them.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let (client, format) = (Client::new(&args.server)?, args.server.output);
    match args.command {
        Command::List { status, limit } => {
            let query = [("status", (status != "all").then_some(status))];
            let rows = client.list("/admin/dlq", &query, limit).await?;
            output::list(format, COLUMNS, &rows, "no dead letters")
        }
        Command::Show { id } => {
            let letter = client.get(&format!("/admin/dlq/{id}"), &[]).await?;
            if !output::machine(format, &letter)? {
                show(&letter)?;
            }
            Ok(())
        }
        Command::Replay { ids } => {
            for id in ids {
                let letter = client.post(&format!("/admin/dlq/{id}/replay"), None).await?;
                if !output::machine(format, &letter)? {
                    output::line(output::printable(&format!(
                        "{id}  {}  {}",
                        cell(&letter, "status"),
                        cell(&letter, "note")
                    )));
                }
            }
            Ok(())
        }
    }
}

fn show(letter: &Value) -> Result<(), Failure> {
    let names =
        ["id", "status", "note", "subject", "reason", "error", "entity", "controller_id", "event_id", "created_at"];
    output::facts(&names.map(|name| (name, cell(letter, name))));
    for attempt in letter["attempts"].as_array().into_iter().flatten() {
        let line = format!("attempt {}  {}  {}", cell(attempt, "attempt"), cell(attempt, "at"), cell(attempt, "error"));
        output::line(output::printable(&line));
    }
    if letter["payload"].is_null() {
        output::line(format!("payload (base64): {}", cell(letter, "payload_base64")));
    } else {
        output::line(format!("payload:\n{}", serde_json::to_string_pretty(&letter["payload"])?));
    }
    Ok(())
}
