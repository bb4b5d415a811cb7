//! `streamspace job`: bulk actions that run on the server, and their progress.

use serde_json::Value;
use uuid::Uuid;

use super::resource::Resource;
use super::wait::{Goal, Outcome, Wait};
use super::{ClientFactory, Console, Server};
use crate::failure::{Failure, Kind};
use crate::output::{self, Column, cell, printable};

const EXAMPLES: &str = "\
Examples:
  streamspace job list --status running
  streamspace job watch ID
  streamspace job cancel ID";

/// Arguments of `streamspace job`.
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
    /// List jobs, newest first
    #[command(after_help = "Example:\n  streamspace job list --kind sessions.delete")]
    List {
        /// Filter by state
        #[arg(long, value_parser = ["running", "halted", "completed", "cancelled"], value_name = "STATE")]
        status: Option<String>,
        /// Filter by kind, such as sessions.hibernate, dead_letters.replay or log.verify
        #[arg(long)]
        kind: Option<String>,
        /// Maximum number of rows
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show a job with the items that failed
    #[command(after_help = "Example:\n  streamspace job get ID -o json | jq .failures")]
    Get {
        /// Job ID
        id: Uuid,
    },
    /// Show the progress of a job until it ends; exits with 1 if any item failed
    #[command(after_help = "Example:\n  streamspace job watch ID --timeout 1h")]
    Watch {
        /// Job ID
        id: Uuid,
        /// Maximum time to watch
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = streams::duration::parse)]
        timeout: std::time::Duration,
    },
    /// Resume a job that halted by itself, with a canary of its next items
    #[command(after_help = "Example:\n  streamspace job resume ID")]
    Resume {
        /// Job ID
        id: Uuid,
    },
    /// Stop a job before its next step; completed items stay as they are
    #[command(after_help = "Example:\n  streamspace job cancel ID")]
    Cancel {
        /// Job ID
        id: Uuid,
    },
}

const JOB: Resource = Resource {
    noun: "job",
    path: "/jobs",
    id: "job_id",
    state: standing,
    columns: &[
        Column::field("ID", "job_id").rank(0),
        Column::field("KIND", "kind").rank(2),
        Column::field("STATUS", "status").state().rank(1),
        Column::made("DONE", done).rank(3),
        Column::field("FAILED", "failed").rank(4),
        Column::field("SKIPPED", "skipped").rank(7),
        Column::field("BY", "created_by").rank(6),
        Column::field("CREATED", "created_at").time().rank(5),
        Column::field("FINISHED", "finished_at").time().wide(),
        Column::field("FILTER", "filter").wide(),
    ],
    facts: &[
        Column::field("id", "job_id"),
        Column::field("kind", "kind"),
        Column::field("status", "status").state(),
        Column::made(
            "dry run",
            |row| if row["dry_run"] == true { "yes: nothing was changed".into() } else { String::new() },
        ),
        Column::made("done", done),
        Column::field("failed", "failed"),
        Column::field("skipped", "skipped"),
        Column::field("filter", "filter"),
        Column::field("canary", "canary.stage"),
        Column::field("rate", "rate"),
        Column::field("reason", "reason"),
        Column::field("by", "created_by"),
        Column::field("created", "created_at"),
        Column::field("updated", "updated_at"),
        Column::field("finished", "finished_at"),
    ],
    none: "no jobs",
};

const OVER: Goal = Goal {
    resource: &JOB,
    outcome: |row| if row["status"] == "running" { Outcome::Underway } else { Outcome::Done },
    standing,
    advice: "`streamspace job get ID`",
    watch: "streamspace job watch",
};

fn done(row: &Value) -> String {
    format!("{}/{}", cell(row, "done"), cell(row, "total"))
}

fn standing(row: &Value) -> String {
    let dry = if row["dry_run"] == true { ", dry run" } else { "" };
    let count = |name: &str| row[name].as_i64().filter(|n| *n > 0).map(|n| format!(", {n} {name}")).unwrap_or_default();
    format!("{}, {} done{}{}{dry}", cell(row, "status"), done(row), count("failed"), count("skipped"))
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    match args.command {
        Command::List { status, kind, limit } => {
            JOB.list(&console, vec![("status", status), ("kind", kind)], limit).await
        }
        Command::Get { id } => {
            let job = console.client.get(&JOB.at(id), &[]).await?;
            JOB.show(&console, &job)?;
            canary(&console, &job);
            outlook(&console, &job);
            failures(&console, &job);
            findings(&console, &job);
            Ok(())
        }
        Command::Watch { id, timeout } => {
            let job = console.client.get(&JOB.at(id), &[]).await?;
            finish(&console, job, Wait { wait: true, timeout }).await
        }
        Command::Resume { id } => {
            JOB.report(&console, &console.client.post(&format!("{}/resume", JOB.at(id)), None).await?)
        }
        Command::Cancel { id } => {
            JOB.report(&console, &console.client.post(&format!("{}/cancel", JOB.at(id)), None).await?)
        }
    }
}

/// Prints the outcome of a job, at once or when it has ended. A job with a failed item is a failure.
pub(super) async fn finish(console: &Console, job: Value, wait: Wait) -> Result<(), Failure> {
    if !wait.wait {
        return JOB.report(console, &job);
    }
    let job = OVER.reach(console, job, wait.timeout).await?;
    JOB.report(console, &job)?;
    if job["status"] == "halted" {
        let way_out = format!(
            "fix the cause, then run `streamspace job resume {id}`, or give up with `streamspace job cancel {id}`",
            id = cell(&job, "job_id")
        );
        return Err(Failure::new(Kind::Failed, format!("halted: {}", cell(&job, "reason"))).hint(way_out));
    }
    if job["scan"].is_object() {
        return agreed(console, &job);
    }
    outlook(console, &job);
    match job["failed"].as_i64() {
        None | Some(0) => Ok(()),
        Some(failed) => {
            let first = cell(&job, "failures.0.detail");
            let first = if first.is_empty() { first } else { format!(", the first because: {first}") };
            let message = format!("{failed} of {} failed{first}", cell(&job, "total"));
            Err(Failure::new(Kind::Failed, message).hint(format!("see `streamspace job get {}`", cell(&job, "job_id"))))
        }
    }
}

/// The outcome of a scan of the log: a failure if any difference remains.
fn agreed(console: &Console, job: &Value) -> Result<(), Failure> {
    findings(console, job);
    let (standing, repaired) = (job["failed"].as_i64().unwrap_or(0), cell(job, "scan.repaired"));
    if standing == 0 {
        return Ok(());
    }
    let message = format!("{standing} entities differ from their logs; repaired: {repaired}");
    Err(Failure::new(Kind::Failed, message).hint(format!("see `streamspace job get {}`", cell(job, "job_id"))))
}

fn findings(console: &Console, job: &Value) {
    if !job["scan"].is_object() || !console.screen.for_people() || console.screen.quiet {
        return;
    }
    let seen = ["entities", "events", "events_per_second"].map(|name| cell(job, &format!("scan.{name}")));
    output::line(printable(&format!("{} entities, {} events, {} a second", seen[0], seen[1], seen[2])));
    for finding in job["scan"]["findings"].as_array().into_iter().flatten() {
        let repaired = if finding["repaired"] == true { "repaired" } else { "found" };
        let (what, entity) = (cell(finding, "what"), cell(finding, "entity"));
        output::line(printable(&format!("{repaired}  {what}  {entity}  {}", cell(finding, "advice"))));
        for column in finding["columns"].as_array().into_iter().flatten() {
            let (log, row) = (&column["log"], &column["row"]);
            output::line(printable(&format!("  {}: the log says {log}, the row {row}", cell(column, "column"))));
        }
    }
}

fn failures(console: &Console, job: &Value) {
    lines(console, &job["failures"], |failure| format!("failed {}  {}", cell(failure, "id"), cell(failure, "detail")));
}

/// Prints the canary items.
fn canary(console: &Console, job: &Value) {
    lines(console, &job["canary"]["tries"], |one| {
        format!("canary {}  {}  {}", cell(one, "letter_id"), cell(one, "outcome"), cell(one, "error"))
    });
}

/// Prints the findings of a dry run.
fn outlook(console: &Console, job: &Value) {
    lines(console, &job["outlook"]["counts"], |count| {
        format!("{:>6}  {}", cell(count, "count"), cell(count, "outcome"))
    });
    lines(console, &job["outlook"]["items"], |item| cell(item, "text"));
}

fn lines(console: &Console, of: &Value, line: impl Fn(&Value) -> String) {
    if console.screen.for_people() && !console.screen.quiet {
        of.as_array().into_iter().flatten().for_each(|one| output::line(printable(&line(one))));
    }
}
