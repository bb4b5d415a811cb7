//! `streamspace event`: the log of all commands, reports and decisions.

use serde_json::Value;
use uuid::Uuid;

use super::resource::Resource;
use super::{ClientFactory, Server, event_log};
use crate::failure::Failure;
use crate::output::{self, Column, cell, printable};

const EXAMPLES: &str = "\
Examples:
  streamspace event list --kind command --status failed --since 1h
  streamspace event list --entity session:ID
  streamspace event get ID
  streamspace event fate ID";

/// Arguments of `streamspace event`.
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
    /// List events, newest first
    #[command(after_help = "Example:\n  streamspace event list --status pending -o wide")]
    List(List),
    /// Show an event, with its attempts and the reports that it caused
    #[command(after_help = "Example:\n  streamspace event get ID")]
    Get {
        /// Event ID
        id: Uuid,
    },
    /// Show where an event is now, step by step
    #[command(after_help = "Example:\n  streamspace event fate ID")]
    Fate {
        /// Event ID
        id: Uuid,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Filter by subject, such as streamspace.session.create
    #[arg(long)]
    subject: Option<String>,
    /// Filter by kind: command, report or decision
    #[arg(long)]
    kind: Option<String>,
    /// Filter by state: pending, published, completed or failed
    #[arg(long, value_name = "STATE")]
    status: Option<String>,
    /// Filter by entity, such as session:ID
    #[arg(long)]
    entity: Option<String>,
    /// Only those after this time: 2026-01-01T00:00:00Z, 2026-01-01, or an age such as 10m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those before this time, in the same formats
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Maximum number of rows
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

const EVENT: Resource = Resource {
    noun: "event",
    path: "/events",
    id: "event_id",
    state: |row| cell(row, "status"),
    columns: &[
        Column::field("ID", "event_id").rank(0),
        Column::field("AT", "at").time().rank(3),
        Column::field("KIND", "kind").rank(6),
        Column::made("WHAT", |row| event_log::what(row).0).rank(1),
        Column::field("ENTITY", "entity").rank(4),
        Column::field("STATUS", "status").state().rank(2),
        Column::made("MESSAGE", event_log::message).rank(5),
        Column::field("SUBJECT", "subject").wide(),
        Column::field("GENERATION", "generation").wide(),
        Column::field("ATTEMPT", "attempt").wide(),
        Column::field("CONTROLLER", "controller_id").wide(),
        Column::field("TRACE", "trace_id").wide(),
    ],
    facts: &[
        Column::field("id", "event_id"),
        Column::field("at", "at"),
        Column::field("kind", "kind"),
        Column::field("subject", "subject"),
        Column::field("entity", "entity"),
        Column::field("generation", "generation"),
        Column::field("status", "status").state(),
        Column::field("attempt", "attempt"),
        Column::field("controller", "controller_id"),
        Column::field("answers", "causation_id"),
        Column::field("error", "error_message"),
        Column::field("changes", "changes"),
        Column::field("trace", "trace_id"),
        Column::field("ended", "processed_at"),
    ],
    none: "no such events",
};

/// How the fate of an event is shown.
const FATE: Resource = Resource {
    noun: "event",
    path: "/events",
    id: "event_id",
    state: |row| cell(row, "verdict"),
    columns: &[],
    facts: &[
        Column::field("id", "event_id"),
        Column::field("subject", "subject"),
        Column::field("entity", "entity"),
        Column::field("verdict", "verdict").state(),
        Column::field("because", "sentence"),
        Column::field("since", "since"),
        Column::field("jetstream", "delivery"),
        Column::field("tried again", "next_attempt_at"),
        Column::field("overtaken by", "superseded_by"),
        Column::field("dead letter", "dead_letter.id"),
    ],
    none: "",
};

/// Runs the subcommand.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    match args.command {
        Command::List(list) => {
            let query = vec![
                ("subject", list.subject),
                ("kind", list.kind),
                ("status", list.status),
                ("entity", list.entity),
                ("since", list.since),
                ("until", list.until),
            ];
            EVENT.list(&console, query, list.limit).await
        }
        Command::Get { id } => {
            let event = console.client.get(&EVENT.at(id), &[]).await?;
            EVENT.show(&console, &event)?;
            if console.screen.for_people() && !console.screen.quiet {
                print_attempts(&event)?;
            }
            Ok(())
        }
        Command::Fate { id } => {
            let fate = console.client.get(&format!("{}/fate", EVENT.at(id)), &[]).await?;
            FATE.show(&console, &fate)?;
            if console.screen.for_people() && !console.screen.quiet {
                timeline(&fate);
            }
            Ok(())
        }
    }
}

/// Prints each step with its time.
fn timeline(fate: &Value) {
    for hop in fate["hops"].as_array().into_iter().flatten() {
        let (at, step) = (cell(hop, "at"), cell(hop, "step"));
        let attempt = cell(hop, "attempt");
        let attempt = if attempt.is_empty() { attempt } else { format!("attempt {attempt}: ") };
        output::line(printable(&format!("{at}  {step:<14}  {attempt}{}", cell(hop, "text"))));
    }
}

/// Prints the attempts, with the outcome and the error of each.
fn print_attempts(event: &Value) -> Result<(), Failure> {
    for attempt in event["attempts"].as_array().into_iter().flatten() {
        let parts = ["at", "outcome", "controller_id", "error"].map(|name| cell(attempt, name));
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        output::line(printable(&format!("attempt {}  {}", cell(attempt, "attempt"), parts.join("  "))));
    }
    for report in event["reports"].as_array().into_iter().flatten() {
        output::line(printable(&format!(
            "report {}  {}  {}",
            cell(report, "event_id"),
            cell(report, "at"),
            event_log::what(report).0
        )));
    }
    output::line(format!("payload:\n{}", serde_json::to_string_pretty(&event["payload"])?));
    Ok(())
}
