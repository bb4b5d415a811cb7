//! `streamspace session`: what people do with sessions.

mod bulk;
mod change;
mod create;
mod shape;

use clap::builder::PossibleValuesParser;
use serde_json::Value;
use streams::wire::SessionState;
use uuid::Uuid;

use super::wait::Wait;
use super::{Asker, Console, Query, Server, story};
use crate::failure::Failure;
use crate::output::{self, cell, printable};
use shape::{SESSION, SETTLED};

const EXAMPLES: &str = "\
Examples:
  streamspace session create scratchpad --persistent-home --wait
  streamspace session list --status running,failed --user ada
  streamspace session watch ID
  streamspace session bulk hibernate --tag course-7 --dry-run";

/// `streamspace session`
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
    /// Creates a session; it is accepted for good when this returns
    #[command(after_help = "\
Examples:
  streamspace session create scratchpad --persistent-home
  xdg-open \"$(streamspace session create scratchpad --wait)\"
  streamspace session create firefox --platform docker --user ada --memory 2Gi --idle-timeout 30m")]
    Create(create::Create),
    /// Lists sessions, newest first; without --status all but deleted ones
    #[command(after_help = "\
Examples:
  streamspace session list --status pending,creating -o wide
  streamspace session list --user ada -q | xargs -n1 streamspace session hibernate")]
    List(List),
    /// Shows one session: how it stands, why it is awake, and when it sleeps
    #[command(after_help = "\
Examples:
  streamspace session get ID
  streamspace session get ID -o json | jq -r .url
  streamspace session get ID --at 2026-01-01T12:00:00Z")]
    Get {
        /// The session
        id: Uuid,
        /// As its log says that it was then: 2026-01-01T12:00:00Z, 2026-01-01, or how long ago, as 10m
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Prints what happens to a session until it is where it should be
    #[command(after_help = "\
Examples:
  streamspace session watch ID
  streamspace session watch ID --follow -o json | jq .changes")]
    Watch {
        /// The session
        id: Uuid,
        /// Go on afterwards, until Ctrl-C
        #[arg(long)]
        follow: bool,
    },
    /// Prints the end of what a session's program wrote
    #[command(after_help = "Examples:\n  streamspace session logs ID\n  streamspace session logs ID --bytes 4096")]
    Logs {
        /// The session
        id: Uuid,
        /// The most bytes to print
        #[arg(long, value_name = "N", default_value_t = 65536)]
        bytes: u32,
    },
    /// Stops a session and keeps its home
    #[command(after_help = "Example:\n  streamspace session hibernate ID --wait")]
    Hibernate(Ask),
    /// Starts a hibernated or failed session again
    #[command(after_help = "Example:\n  streamspace session wake ID --wait --timeout 5m")]
    Wake(Ask),
    /// Ends a session and removes what is left of it
    #[command(
        after_help = "Examples:\n  streamspace session delete ID --wait\n  streamspace session delete ID --force"
    )]
    Delete {
        #[command(flatten)]
        ask: Ask,
        /// Do not stop it gracefully, and do not wait for a dead controller
        #[arg(long)]
        force: bool,
    },
    /// Pushes the coming stops of a session: idleness, and its maximum duration
    #[command(after_help = "Example:\n  streamspace session extend ID --by 30m")]
    Extend(change::Extend),
    /// Changes what is written on a session: tags, metadata, idle timeout
    #[command(after_help = "\
Examples:
  streamspace session patch ID --tag +urgent --tag -course-7
  streamspace session patch ID --metadata ticket=4711 --metadata note= --idle-timeout 2h")]
    Patch(change::Patch),
    /// Asks the same of many sessions: a job, which goes on without this program
    #[command(after_help = "\
Examples:
  streamspace session bulk hibernate --tag course-7 --dry-run
  streamspace session bulk delete --user ada --status hibernated --wait
  streamspace session bulk wake --all --platform docker")]
    Bulk(bulk::Bulk),
}

#[derive(Debug, clap::Args)]
struct Ask {
    /// The session
    id: Uuid,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, clap::Args)]
struct List {
    /// States, with commas between them, or all
    #[arg(long, value_parser = states(), value_delimiter = ',', value_name = "STATE", hide_possible_values = true)]
    status: Vec<String>,
    /// Those of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Those on this platform
    #[arg(long)]
    platform: Option<String>,
    /// Those of this controller
    #[arg(long, value_name = "ID")]
    controller: Option<String>,
    /// Those made from this template
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// In which order; - turns it around [default: -created_at]
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true,
        value_parser = ["created_at", "-created_at", "user_id", "-user_id"])]
    sort: Option<String>,
    /// The most to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// What can be asked for as a state.
fn states() -> PossibleValuesParser {
    SessionState::ALL.map(SessionState::as_str).into_iter().chain(["all"]).collect::<Vec<_>>().into()
}

/// Does one of them.
pub(crate) async fn run(args: Args, asker: Asker) -> Result<(), Failure> {
    let console = asker.console(&args.server)?;
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
        Command::Watch { id, follow } => story::tell(&console, &SETTLED, id, follow).await,
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

async fn act(console: &Console, ask: &Ask, verb: &str) -> Result<(), Failure> {
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

/// Says what came of it: at once, or when it is done. Of a session that runs then, the URL alone.
async fn finish(console: &Console, session: Value, wait: Wait) -> Result<(), Failure> {
    if !wait.wait {
        return SESSION.tell(console, &session);
    }
    let session = SETTLED.reach(console, session, wait.timeout).await?;
    let url = cell(&session, "url");
    if console.screen.quiet || !console.screen.for_people() {
        return SESSION.tell(console, &session);
    }
    let runs = cell(&session, "status") == "running" && !url.is_empty();
    output::line(printable(&if runs { url } else { (SESSION.state)(&session) }));
    Ok(())
}
