//! `streamspace dlq`: dead letters, messages that could not be processed.

mod discard;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::discard::Discard;
use super::resource::Resource;
use super::wait::Wait;
use super::{ClientFactory, Console, Query, Server, job};
use crate::failure::{Failure, Kind};
use crate::output::{self, Column, cell, printable};

const EXAMPLES: &str = "\
Examples:
  streamspace dlq groups
  streamspace dlq list --reason undecodable
  streamspace dlq show ID
  streamspace dlq replay --reason retries_exhausted --dry-run
  streamspace dlq discard ID --reason \"sent by a test\"";

/// Arguments of `streamspace dlq`.
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
    /// List dead letters, newest first
    #[command(after_help = "Example:\n  streamspace dlq list --platform docker --status all -o wide")]
    List {
        /// Filter by state
        #[arg(long, default_value = "open", value_parser = ["open", "replayed", "discarded", "all"])]
        status: String,
        #[command(flatten)]
        which: Which,
        /// Maximum number of rows
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// List the causes that need fixing: dead letters grouped by cause, platform and controller, newest first
    #[command(after_help = "Example:\n  streamspace dlq groups --platform docker --status all")]
    Groups {
        /// Filter by state of the letters
        #[arg(long, default_value = "open", value_parser = ["open", "replayed", "discarded", "all"])]
        status: String,
        #[command(flatten)]
        which: Which,
        /// Maximum number of rows
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show a dead letter with its payload and error history
    #[command(after_help = "Example:\n  streamspace dlq show ID -o json | jq .payload")]
    Show {
        /// Dead letter ID
        id: Uuid,
    },
    /// Process dead letters again, once the cause is fixed: those given, or a job for all that match the filters
    #[command(after_help = "\
Examples:
  streamspace dlq replay ID
  streamspace dlq replay --reason retries_exhausted --platform docker --canary 3 --rate 10 --wait
  streamspace dlq replay --fingerprint 9f2c4e1ab07d55c3 --dry-run --wait")]
    Replay(Replay),
    /// Correct a report that could not be read, and send it; the original is kept
    #[command(after_help = "\
Examples:
  streamspace dlq show ID -o json | jq .payload >fixed.json
  streamspace dlq edit ID --file fixed.json --reason \"its status was missing\" --yes")]
    Edit {
        /// Dead letter ID
        id: Uuid,
        /// File with the complete corrected payload as JSON, or - for stdin
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Reason, kept in the log
        #[arg(long, value_name = "WHY")]
        reason: String,
        /// Confirm: send it; without this, only the difference is shown
        #[arg(long)]
        yes: bool,
    },
    /// Close dead letters without processing them: those given, or a job for all that match; they are kept with
    /// the reason
    #[command(after_help = "\
Examples:
  streamspace dlq discard ID --reason \"sent by a test\"
  streamspace dlq discard --filter reason=undecodable --filter platform=docker --reason \"a broken build\" --dry-run --wait
  streamspace dlq discard --filter all --reason \"a test installation\" --wait")]
    Discard(Discard),
}

/// The options that make up a filter.
const FILTERS: [&str; 9] =
    ["reason", "subject", "platform", "controller", "entity", "fingerprint", "search", "since", "until"];

#[derive(Debug, clap::Args)]
struct Replay {
    /// Dead letter IDs
    #[arg(required_unless_present_any = FILTERS, conflicts_with_all = FILTERS, value_name = "ID")]
    ids: Vec<Uuid>,
    #[command(flatten)]
    which: Which,
    /// Change nothing; show what would become of them
    #[arg(long)]
    dry_run: bool,
    /// With a filter: process N first, and the others only if all of these succeed
    #[arg(long, value_name = "N", conflicts_with = "ids", value_parser = clap::value_parser!(u32).range(1..=100))]
    canary: Option<u32>,
    /// With a filter: at most N a second
    #[arg(long, value_name = "N", conflicts_with = "ids", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: Option<u32>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Filter by reason, such as undecodable, illegal, retries_exhausted, permanent or poison
    #[arg(long)]
    reason: Option<String>,
    /// Filter by subject
    #[arg(long)]
    subject: Option<String>,
    /// Filter by platform
    #[arg(long)]
    platform: Option<String>,
    /// Filter by controller
    #[arg(long, value_name = "ID")]
    controller: Option<String>,
    /// Filter by entity, such as session:ID
    #[arg(long)]
    entity: Option<String>,
    /// Filter by fingerprint, shared by letters that failed in the same way
    #[arg(long)]
    fingerprint: Option<String>,
    /// Filter by a text in subject, error or entity
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those after this time: 2026-01-01T00:00:00Z, 2026-01-01, or an age such as 10m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those before this time, in the same formats
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Which {
    fn in_state(self, status: String) -> Query {
        let mut query = self.query();
        query.push(("status", (status != "all").then_some(status)));
        query
    }

    fn query(self) -> Query {
        vec![
            ("reason", self.reason),
            ("subject", self.subject),
            ("platform", self.platform),
            ("controller_id", self.controller),
            ("entity", self.entity),
            ("fingerprint", self.fingerprint),
            ("q", self.search),
            ("since", self.since),
            ("until", self.until),
        ]
    }
}

const LETTER: Resource = Resource {
    noun: "dead letter",
    path: "/admin/dlq",
    id: "id",
    state: |row| match &row["outlook"] {
        Value::Null => format!("{}  {}", cell(row, "status"), cell(row, "note")),
        outlook => format!("{}, dry run  {}", cell(row, "status"), cell(outlook, "text")),
    },
    columns: &[
        Column::field("ID", "id").rank(0),
        Column::field("SUBJECT", "subject").rank(4),
        Column::field("REASON", "reason").rank(1),
        Column::field("ENTITY", "entity").rank(6),
        Column::field("STATUS", "status").state().rank(5),
        Column::field("COUNT", "count").rank(7),
        Column::field("CREATED", "created_at").time().rank(3),
        Column::field("ERROR", "error").rank(2),
        Column::field("CONTROLLER", "controller_id").wide(),
        Column::field("FINGERPRINT", "fingerprint").wide(),
        Column::field("NOTE", "note").wide(),
        Column::field("LAST SEEN", "last_seen_at").time().wide(),
    ],
    facts: &[
        Column::field("id", "id"),
        Column::field("status", "status").state(),
        Column::field("note", "note"),
        Column::field("subject", "subject"),
        Column::field("reason", "reason"),
        Column::field("error", "error"),
        Column::field("fingerprint", "fingerprint"),
        Column::field("entity", "entity"),
        Column::field("controller_id", "controller_id"),
        Column::field("event_id", "event_id"),
        Column::field("created_at", "created_at"),
        Column::field("count", "count"),
        Column::field("last_seen_at", "last_seen_at"),
        Column::field("edited by", "edit.by"),
        Column::field("edited because", "edit.reason"),
    ],
    none: "no dead letters",
};

const CAUSE: Resource = Resource {
    noun: "cause",
    path: "/admin/dlq/groups",
    id: "fingerprint",
    state: |row| cell(row, "reason"),
    columns: &[
        Column::field("FINGERPRINT", "fingerprint").rank(0),
        Column::field("REASON", "reason").rank(3),
        Column::field("SUBJECT", "subject").rank(6),
        Column::field("PLATFORM", "platform").rank(7),
        Column::field("CONTROLLER", "controller_id").rank(5),
        Column::field("OPEN", "open").rank(1),
        Column::field("COUNT", "count").rank(8),
        Column::field("LAST", "last_at").time().rank(4),
        Column::field("ERROR", "error").rank(2),
        Column::field("REPLAYED", "replayed").wide(),
        Column::field("DISCARDED", "discarded").wide(),
        Column::field("FIRST", "first_at").time().wide(),
        Column::field("LATEST", "latest_id").wide(),
    ],
    facts: &[],
    none: "no dead letters",
};

/// Runs the subcommand.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    match args.command {
        Command::List { status, which, limit } => LETTER.list(&console, which.in_state(status), limit).await,
        Command::Groups { status, which, limit } => CAUSE.list(&console, which.in_state(status), limit).await,
        Command::Show { id } => show(&console, id).await,
        Command::Replay(replay) => replay.run(&console).await,
        Command::Edit { id, file, reason, yes } => edit(&console, id, &file, &reason, yes).await,
        Command::Discard(discard) => discard.run(&console).await,
    }
}

impl Replay {
    async fn run(self, console: &Console) -> Result<(), Failure> {
        let how = if self.dry_run { "?dry_run=true" } else { "" };
        for id in &self.ids {
            let letter = console.client.post(&format!("{}/replay{how}", LETTER.at(id)), None).await?;
            LETTER.report(console, &letter)?;
        }
        if !self.ids.is_empty() {
            return Ok(());
        }
        let given = self.which.query().into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?))));
        let mut body = json!({ "filter": given.collect::<Map<_, _>>() });
        if self.dry_run {
            body["dry_run"] = json!(true);
        }
        for (name, number) in [("canary", self.canary), ("rate", self.rate)] {
            if let Some(number) = number {
                body[name] = json!(number);
            }
        }
        let job = console.client.post("/admin/dlq/replay", Some(&body)).await?;
        job::finish(console, job, self.wait).await
    }
}

/// Shows the difference, and sends the correction if confirmed.
async fn edit(console: &Console, id: Uuid, file: &Path, reason: &str, yes: bool) -> Result<(), Failure> {
    let text =
        crate::files::text(file).map_err(|error| Failure::because(Kind::Usage, &file.display().to_string(), &error))?;
    // Checked here too, because the payload is re-encoded before it is sent: duplicate keys and large numbers
    // would be lost.
    let payload: Value = streams::limits::json::document(text.as_bytes()).map_err(|error| {
        let what = if matches!(error, streams::limits::Error::Syntax(_)) { "is not JSON" } else { "cannot be sent" };
        Failure::because(Kind::Usage, &format!("{} {what}", file.display()), &error)
    })?;
    let path = format!("{}/edit", LETTER.at(id));
    let body = json!({ "payload": payload, "reason": reason, "dry_run": true });
    let tried = console.client.post(&path, Some(&body)).await?;
    if console.screen.for_people() {
        difference(&tried["edit"]["diff"]);
    }
    if !yes {
        return Err(Failure::usage("nothing was sent; the changes are listed above").hint("add --yes to send it"));
    }
    let letter = console.client.post(&path, Some(&json!({ "payload": payload, "reason": reason }))).await?;
    LETTER.report(console, &letter)
}

fn difference(diff: &Value) {
    for change in diff.as_array().into_iter().flatten() {
        let value = change.get("value").map(Value::to_string).unwrap_or_default();
        let at = match cell(change, "path") {
            whole if whole.is_empty() => "(all of it)".to_owned(),
            path => path,
        };
        output::note(printable(&format!("{:<8}{at}  {value}", cell(change, "op"))));
    }
}

async fn show(console: &Console, id: Uuid) -> Result<(), Failure> {
    let letter = console.client.get(&LETTER.at(id), &[]).await?;
    LETTER.show(console, &letter)?;
    if console.screen.for_people() && !console.screen.quiet {
        history(&letter)?;
    }
    Ok(())
}

fn history(letter: &Value) -> Result<(), Failure> {
    for attempt in letter["attempts"].as_array().into_iter().flatten() {
        let line = format!("attempt {}  {}  {}", cell(attempt, "attempt"), cell(attempt, "at"), cell(attempt, "error"));
        output::line(printable(&line));
    }
    difference(&letter["edit"]["diff"]);
    if letter["payload"].is_null() {
        output::line(format!("payload (base64): {}", cell(letter, "payload_base64")));
    } else {
        output::line(format!("payload:\n{}", serde_json::to_string_pretty(&letter["payload"])?));
    }
    Ok(())
}
