//! `streamspace session`: the life of sessions.

mod bulk;
mod change;
mod create;
mod shape;

use clap::builder::PossibleValuesParser;
use serde_json::Value;
use streams::wire::SessionState;
use uuid::Uuid;

use super::wait::Wait;
use super::{ClientFactory, Console, Query, Server, event_log};
use crate::failure::Failure;
use crate::output::{self, cell, printable};
use shape::{SESSION, SETTLED};

const EXAMPLES: &str = "\
Examples:
  streamspace session create scratchpad --persistent-home --wait
  streamspace session list --status running,failed --user ada
  streamspace session watch ID
  streamspace session bulk hibernate --tag course-7 --dry-run";

/// Arguments of `streamspace session`.
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
    /// Create a session; once this returns, the request is durably accepted
    #[command(after_help = "\
Examples:
  streamspace session create scratchpad --persistent-home
  xdg-open \"$(streamspace session create scratchpad --wait)\"
  streamspace session create firefox --platform docker --user ada --memory 2Gi --idle-timeout 30m")]
    Create(create::Create),
    /// List sessions, newest first; without --status all but deleted ones
    #[command(after_help = "\
Examples:
  streamspace session list --status pending,creating -o wide
  streamspace session list --user ada -q | xargs -n1 streamspace session hibernate")]
    List(List),
    /// Show a session: its state, why it is awake, and when it stops
    #[command(after_help = "\
Examples:
  streamspace session get ID
  streamspace session get ID -o json | jq -r .url
  streamspace session get ID --at 2026-01-01T12:00:00Z")]
    Get {
        /// Session ID
        id: Uuid,
        /// Show it as it was at this time: 2026-01-01T12:00:00Z, 2026-01-01, or an age such as 10m
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Print the events of a session until it reaches its desired state
    #[command(after_help = "\
Examples:
  streamspace session watch ID
  streamspace session watch ID --follow -o json | jq .changes")]
    Watch {
        /// Session ID
        id: Uuid,
        /// Keep watching until Ctrl-C
        #[arg(long)]
        follow: bool,
    },
    /// Print the end of the output of a session's program
    #[command(after_help = "Examples:\n  streamspace session logs ID\n  streamspace session logs ID --bytes 4096")]
    Logs {
        /// Session ID
        id: Uuid,
        /// Maximum number of bytes
        #[arg(long, value_name = "N", default_value_t = 65536)]
        bytes: u32,
    },
    /// Stop a session and keep its home
    #[command(after_help = "Example:\n  streamspace session hibernate ID --wait")]
    Hibernate(OneSession),
    /// Start a hibernated or failed session again
    #[command(after_help = "Example:\n  streamspace session wake ID --wait --timeout 5m")]
    Wake(OneSession),
    /// End a session and remove everything that it left
    #[command(
        after_help = "Examples:\n  streamspace session delete ID --wait\n  streamspace session delete ID --force"
    )]
    Delete {
        #[command(flatten)]
        ask: OneSession,
        /// Do not stop gracefully, and do not wait for an unreachable controller
        #[arg(long)]
        force: bool,
    },
    /// Postpone the next stops of a session: for idleness, and at its maximum duration
    #[command(after_help = "Example:\n  streamspace session extend ID --by 30m")]
    Extend(change::Extend),
    /// Change a session's tags, metadata or idle timeout
    #[command(after_help = "\
Examples:
  streamspace session patch ID --tag +urgent --tag -course-7
  streamspace session patch ID --metadata ticket=4711 --metadata note= --idle-timeout 2h")]
    Patch(change::Patch),
    /// Apply one action to many sessions, as a job on the server
    #[command(after_help = "\
Examples:
  streamspace session bulk hibernate --tag course-7 --dry-run
  streamspace session bulk delete --user ada --status hibernated --wait
  streamspace session bulk wake --all --platform docker")]
    Bulk(bulk::Bulk),
}

#[derive(Debug, clap::Args)]
struct OneSession {
    /// Session ID
    id: Uuid,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Filter by states, separated by commas, or all
    #[arg(long, value_parser = states(), value_delimiter = ',', value_name = "STATE", hide_possible_values = true)]
    status: Vec<String>,
    /// Filter by user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Filter by platform
    #[arg(long)]
    platform: Option<String>,
    /// Filter by controller
    #[arg(long, value_name = "ID")]
    controller: Option<String>,
    /// Filter by template
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Filter by tag
    #[arg(long)]
    tag: Option<String>,
    /// Sort by this field; - reverses the order [default: -created_at]
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true,
        value_parser = ["created_at", "-created_at", "user_id", "-user_id"])]
    sort: Option<String>,
    /// Maximum number of rows
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// The states that can be filtered by.
fn states() -> PossibleValuesParser {
    SessionState::ALL.map(SessionState::as_str).into_iter().chain(["all"]).collect::<Vec<_>>().into()
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    match args.command {
        Command::Create(create) => {
            let session = console.client.post("/sessions", Some(&create.body())).await?;
            finish(&console, session, create.wait).await
        }
        Command::List(list) => SESSION.list(&console, filter(&list), list.limit).await,
        Command::Get { id, at } => {
            let session = console.client.get(&SESSION.at(id), &[("at", at)]).await?;
            SESSION.show(&console, &session)
        }
        Command::Watch { id, follow } => event_log::follow(&console, &SETTLED, id, follow).await,
        Command::Logs { id, bytes } => logs(&console, id, bytes).await,
        Command::Hibernate(ask) => act(&console, &ask, "hibernate").await,
        Command::Wake(ask) => act(&console, &ask, "wake").await,
        Command::Delete { ask, force } => {
            let query = [("force", force.then(|| "true".into()))];
            let session = console.client.delete(&SESSION.at(ask.id), &query).await?;
            finish(&console, session, ask.wait).await
        }
        Command::Extend(extend) => extend.run(&console).await,
        Command::Patch(patch) => patch.run(&console).await,
        Command::Bulk(bulk) => bulk.run(&console).await,
    }
}

async fn logs(console: &Console, id: Uuid, bytes: u32) -> Result<(), Failure> {
    let log = console.client.get(&format!("{}/logs", SESSION.at(id)), &[("bytes", Some(bytes.to_string()))]).await?;
    if !console.screen.machine(&log)? {
        log["text"].as_str().unwrap_or_default().lines().for_each(|line| output::line(printable(line)));
    }
    Ok(())
}

async fn act(console: &Console, ask: &OneSession, verb: &str) -> Result<(), Failure> {
    let session = console.client.post(&format!("{}/{verb}", SESSION.at(ask.id)), None).await?;
    finish(console, session, ask.wait).await
}

fn filter(list: &List) -> Query {
    vec![
        ("status", (!list.status.is_empty()).then(|| list.status.join(","))),
        ("user_id", list.user.clone()),
        ("platform", list.platform.clone()),
        ("controller_id", list.controller.clone()),
        ("template_id", list.template.clone()),
        ("tag", list.tag.clone()),
        ("sort", list.sort.clone()),
    ]
}

/// Prints the outcome, at once or when it is reached; of a running session only the URL.
async fn finish(console: &Console, session: Value, wait: Wait) -> Result<(), Failure> {
    if !wait.wait {
        return SESSION.report(console, &session);
    }
    let session = SETTLED.reach(console, session, wait.timeout).await?;
    let url = cell(&session, "url");
    if console.screen.quiet || !console.screen.for_people() {
        return SESSION.report(console, &session);
    }
    let runs = cell(&session, "status") == "running" && !url.is_empty();
    output::line(printable(&if runs { url } else { (SESSION.state)(&session) }));
    Ok(())
}
