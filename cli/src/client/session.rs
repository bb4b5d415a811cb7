//! `streamspace session`: what people do with sessions.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value, json};
use streams::wire::SessionState;
use uuid::Uuid;

use super::{Client, Server, watch};
use crate::failure::Failure;
use crate::output::{self, Column, Format, cell};

/// `streamspace session`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Creates a session; it is accepted for good when this returns
    Create(Create),
    /// Lists sessions, newest first; without --status all but deleted ones
    List(List),
    /// Shows one session
    Get {
        /// The session
        id: Uuid,
    },
    /// Prints what happens to a session until it is where it should be
    Watch {
        /// The session
        id: Uuid,
        /// Go on afterwards, until Ctrl-C
        #[arg(long)]
        follow: bool,
    },
    /// Stops a session and keeps its home
    Hibernate(Ask),
    /// Starts a hibernated or failed session again
    Wake(Ask),
    /// Ends a session and removes what is left of it
    Delete {
        #[command(flatten)]
        ask: Ask,
        /// Do not stop it gracefully, and do not wait for a dead controller
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Name of the template, such as scratchpad
    template: String,
    /// Where it is to run [default: the server's]
    #[arg(long)]
    platform: Option<String>,
    /// Who it is for [default: the caller]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Memory that it may use, such as 512Mi or 2Gi
    #[arg(long)]
    memory: Option<String>,
    /// CPU that it may use, such as 500m or 2
    #[arg(long)]
    cpu: Option<String>,
    /// Idle time after which it is hibernated, such as 30m
    #[arg(long, value_name = "TIME")]
    idle_timeout: Option<String>,
    /// The longest time that it may run without a break, such as 8h
    #[arg(long, value_name = "TIME")]
    max_duration: Option<String>,
    /// Keep its home over hibernation
    #[arg(long)]
    persistent_home: bool,
    /// For filters; can be said more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    #[command(flatten)]
    wait: Wait,
}

/// Whether to wait, and how long.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Wait {
    /// Wait until it is done; for a session that runs, print its URL
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = streams::duration::parse)]
    timeout: Duration,
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
    /// A state, or all
    #[arg(long, value_parser = states())]
    status: Option<String>,
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
    /// The most to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// What can be asked for as a state.
fn states() -> PossibleValuesParser {
    SessionState::ALL.map(SessionState::as_str).into_iter().chain(["all"]).collect::<Vec<_>>().into()
}

const COLUMNS: &[Column] = &[
    ("ID", |row| cell(row, "session_id")),
    ("TEMPLATE", |row| cell(row, "template_id")),
    ("PLATFORM", |row| cell(row, "platform")),
    ("STATUS", status),
    ("USER", |row| cell(row, "user_id")),
    ("URL", |row| cell(row, "url")),
    ("CREATED", |row| cell(row, "created_at")),
];

/// Where it stands, and where it is going if that is somewhere else.
fn status(row: &Value) -> String {
    let (status, desired) = (cell(row, "status"), cell(row, "desired"));
    if status == desired { status } else { format!("{status} (to be {desired})") }
}

/// Does one of them.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let (client, format) = (Client::new(&args.server)?, args.server.output);
    match args.command {
        Command::Create(create) => {
            let session = client.post("/sessions", Some(&body(&create))).await?;
            finish(&client, format, session, create.wait).await
        }
        Command::List(list) => {
            let rows = client.list("/sessions", &filter(&list), list.limit).await?;
            output::list(format, COLUMNS, &rows, "no sessions; `streamspace session create scratchpad` makes one")
        }
        Command::Get { id } => show(format, &client.get(&path(id), &[]).await?),
        Command::Watch { id, follow } => watch::run(&client, id, format, follow).await,
        Command::Hibernate(ask) => act(&client, format, &ask, "hibernate").await,
        Command::Wake(ask) => act(&client, format, &ask, "wake").await,
        Command::Delete { ask, force } => {
            let session = client.delete(&path(ask.id), &[("force", force.then(|| "true".into()))]).await?;
            finish(&client, format, session, ask.wait).await
        }
    }
}

pub(super) fn path(id: Uuid) -> String {
    format!("/sessions/{id}")
}

async fn act(client: &Client, format: Format, ask: &Ask, verb: &str) -> Result<(), Failure> {
    let session = client.post(&format!("{}/{verb}", path(ask.id)), None).await?;
    finish(client, format, session, ask.wait).await
}

fn body(create: &Create) -> Value {
    let mut body = Map::from_iter([("template_id".to_owned(), json!(create.template))]);
    let texts = [
        ("platform", &create.platform),
        ("user_id", &create.user),
        ("idle_timeout", &create.idle_timeout),
        ("max_duration", &create.max_duration),
    ];
    body.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?)))));
    let resources = [("memory", &create.memory), ("cpu", &create.cpu)];
    let resources: Map<_, _> =
        resources.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?)))).collect();
    if !resources.is_empty() {
        body.insert("resources".into(), Value::Object(resources));
    }
    if create.persistent_home {
        body.insert("persistent_home".into(), json!(true));
    }
    if !create.tag.is_empty() {
        body.insert("tags".into(), json!(create.tag));
    }
    Value::Object(body)
}

fn filter(list: &List) -> Vec<(&'static str, Option<String>)> {
    vec![
        ("status", list.status.clone()),
        ("user_id", list.user.clone()),
        ("platform", list.platform.clone()),
        ("controller_id", list.controller.clone()),
        ("template_id", list.template.clone()),
        ("tag", list.tag.clone()),
    ]
}

/// Says what came of it: at once, or when it is done.
async fn finish(client: &Client, format: Format, session: Value, wait: Wait) -> Result<(), Failure> {
    if !wait.wait {
        if !output::machine(format, &session)? {
            output::line(format!("{}  {}", cell(&session, "session_id"), status(&session)));
        }
        return Ok(());
    }
    output::note(format!("session {} is accepted; waiting", cell(&session, "session_id")));
    let session = watch::until_settled(client, &session, wait.timeout).await?;
    if !output::machine(format, &session)? {
        let url = cell(&session, "url");
        output::line(if cell(&session, "status") == "running" && !url.is_empty() { url } else { status(&session) });
    }
    Ok(())
}

fn show(format: Format, session: &Value) -> Result<(), Failure> {
    if output::machine(format, session)? {
        return Ok(());
    }
    let list = |name: &str| {
        let items = session[name].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let attempt = cell(session, "attempt");
    output::facts(&[
        ("id", cell(session, "session_id")),
        ("template", cell(session, "template_id")),
        ("user", cell(session, "user_id")),
        ("status", status(session)),
        ("reason", cell(session, "reason")),
        ("message", cell(session, "message")),
        ("url", cell(session, "url")),
        ("platform", cell(session, "platform")),
        ("controller", cell(session, "controller_id")),
        ("resource", cell(session, "pod_name")),
        ("memory", cell(session, "resources.memory")),
        ("cpu", cell(session, "resources.cpu")),
        ("persistent home", cell(session, "persistent_home")),
        ("idle timeout", cell(session, "idle_timeout")),
        ("max duration", cell(session, "max_duration")),
        ("tags", list("tags")),
        ("attempt", if attempt == "0" { String::new() } else { attempt }),
        ("next attempt", cell(session, "next_attempt_at")),
        ("connections", cell(session, "connections")),
        ("last activity", cell(session, "last_activity")),
        ("created", cell(session, "created_at")),
        ("updated", cell(session, "updated_at")),
    ]);
    Ok(())
}
