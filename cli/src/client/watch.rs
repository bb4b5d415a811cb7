//! `streamspace watch`: every change as it happens, from the server's feed. From a server without one, the states of its
//! sessions, looked at again and again.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::feed::{AFTER, Feed, Heard};
use super::wait::Patience;
use super::{Asker, Console, Query, Server, story};
use crate::failure::{Failure, Kind};
use crate::output::{self, Format, Progress, Screen, cell, printable};

const LOOK_EVERY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  streamspace watch
  streamspace watch --user ada --kind report
  streamspace watch --entity session:ID -o json | jq .changes";

/// `streamspace watch`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What belongs to this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What happens on this platform
    #[arg(long)]
    platform: Option<String>,
    /// What is about this, such as session:ID
    #[arg(long)]
    entity: Option<String>,
    /// command, report or decision
    #[arg(long)]
    kind: Option<String>,
    /// What was said on this subject
    #[arg(long)]
    subject: Option<String>,
    /// Begin after this one: an id of the feed, or of an event
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl Args {
    fn query(&self) -> Query {
        let texts = [
            ("user_id", &self.user),
            ("platform", &self.platform),
            ("entity", &self.entity),
            ("kind", &self.kind),
            ("subject", &self.subject),
        ];
        texts.map(|(name, text)| (name, text.clone())).to_vec()
    }
}

/// Watches until Ctrl-C.
pub(crate) async fn run(args: Args, asker: Asker) -> Result<(), Failure> {
    let console = asker.console(&args.server)?;
    let mut last = args.after.clone();
    tokio::select! {
        ended = watch(&args, &console, &mut last) => ended,
        _ = tokio::signal::ctrl_c() => {
            let failure = Failure::new(Kind::Interrupted, "not watching any more");
            Err(match last {
                Some(last) => failure.hint(format!("the same with `--after {last}`, to go on from here")),
                None => failure,
            })
        }
    }
}

async fn watch(args: &Args, console: &Console, last: &mut Option<String>) -> Result<(), Failure> {
    // `after` is said as a parameter, which takes ids of both kinds.
    let mut query = args.query();
    query.push((AFTER, args.after.clone()));
    match Feed::open(&console.client, query).await {
        Ok(feed) => hear(console, feed, last).await,
        Err(failure) if failure.kind == Kind::Older => {
            if args.kind.is_some() || args.subject.is_some() || args.after.is_some() {
                return Err(failure.hint("without --kind, --subject and --after, for the states of sessions"));
            }
            output::note("this server has no feed: the states of its sessions are looked at every second");
            look(args, console).await
        }
        Err(failure) if failure.kind == Kind::Gone => {
            Err(failure.hint("`streamspace watch` from now on, or `streamspace event list` for what is kept"))
        }
        Err(failure) => Err(failure),
    }
}

async fn hear(console: &Console, mut feed: Feed<'_>, last: &mut Option<String>) -> Result<(), Failure> {
    let mut progress = Progress::spinner(&console.screen);
    progress.say("watching; Ctrl-C ends it");
    loop {
        let heard = feed.next().await?;
        match heard {
            Heard::Change(change) => progress.aside(|| print(&console.screen, &change))?,
            Heard::Behind => {
                progress
                    .aside(|| output::note("some changes were missed, and are not kept any more; going on from now"));
            }
        }
        last.clone_from(&feed.last);
    }
}

/// Writes one change.
fn print(screen: &Screen, change: &Value) -> Result<(), Failure> {
    if screen.quiet || !matches!(screen.format, Format::Table | Format::Wide) {
        return story::print(screen, change);
    }
    let at = cell(change, "at");
    let time = at.get(11..23).unwrap_or(&at);
    let said = [story::state(change), story::message(change)];
    let said: Vec<String> = said.into_iter().filter(|text| !text.is_empty()).collect();
    let (entity, what) = (cell(change, "entity"), story::what(change).0);
    output::line(printable(&format!("{time}  {entity:<44}  {what:<27}  {}", said.join("; "))));
    Ok(())
}

/// The states of sessions, again and again; what changed in between is not seen.
async fn look(args: &Args, console: &Console) -> Result<(), Failure> {
    let query =
        [("status", Some("all".to_owned())), ("user_id", args.user.clone()), ("platform", args.platform.clone())];
    let mut patience = Patience::default();
    let mut known: Option<HashMap<String, String>> = None;
    loop {
        if let Some(rows) = patience.with(console.client.list("/sessions", &query, usize::MAX).await)? {
            let first = known.is_none();
            let known = known.get_or_insert_default();
            for row in rows.iter().rev() {
                let entity = format!("session:{}", cell(row, "session_id"));
                let before = known.insert(entity.clone(), cell(row, "status"));
                let news = !first && before.as_deref() != row["status"].as_str();
                if news && args.entity.as_ref().is_none_or(|wanted| *wanted == entity) {
                    print(&console.screen, &seen(&entity, row))?;
                }
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A session that changed, as the feed would tell it.
fn seen(entity: &str, row: &Value) -> Value {
    json!({ "entity": entity, "kind": "decision", "subject": "streamspace.session.status", "at": row["updated_at"],
        "generation": row["generation"], "status": row["status"], "user_id": row["user_id"], "platform": row["platform"],
        "changes": { "status": row["status"] }, "payload": { "message": row["message"] } })
}
