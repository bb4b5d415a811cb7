//! `streamspace watch`: every change as it happens, from the server's feed. If the server has no feed, the
//! states of sessions are polled.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::feed::{AFTER, Feed, FeedItem};
use super::wait::Tolerance;
use super::{ClientFactory, Console, Query, Server, event_log};
use crate::failure::{Failure, Kind};
use crate::output::{self, Format, Progress, Screen, cell, printable};

const LOOK_EVERY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  streamspace watch
  streamspace watch --user ada --kind report
  streamspace watch --entity session:ID -o json | jq .changes";

/// Arguments of `streamspace watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Filter by user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Filter by platform
    #[arg(long)]
    platform: Option<String>,
    /// Filter by entity, such as session:ID
    #[arg(long)]
    entity: Option<String>,
    /// Filter by kind: command, report or decision
    #[arg(long)]
    kind: Option<String>,
    /// Filter by subject
    #[arg(long)]
    subject: Option<String>,
    /// Start after this item of the feed, or this event
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
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    let mut last = args.after.clone();
    tokio::select! {
        ended = watch(&args, &console, &mut last) => ended,
        _ = tokio::signal::ctrl_c() => {
            let failure = Failure::new(Kind::Interrupted, "stopped watching");
            Err(match last {
                Some(last) => failure.hint(format!("add `--after {last}` to continue from here")),
                None => failure,
            })
        }
    }
}

async fn watch(args: &Args, console: &Console, last: &mut Option<String>) -> Result<(), Failure> {
    // `after` goes into the query and not into Last-Event-ID, because it also takes event ids.
    let mut query = args.query();
    query.push((AFTER, args.after.clone()));
    match Feed::open(&console.client, query).await {
        Ok(feed) => hear(console, feed, last).await,
        Err(failure) if failure.kind == Kind::Older => {
            if args.kind.is_some() || args.subject.is_some() || args.after.is_some() {
                return Err(failure.hint("leave out --kind, --subject and --after to watch the states of sessions"));
            }
            output::note("this server has no feed; polling the states of its sessions every second");
            look(args, console).await
        }
        Err(failure) if failure.kind == Kind::Gone => {
            Err(failure
                .hint("run `streamspace watch` without --after, or read older events with `streamspace event list`"))
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
            FeedItem::Change(change) => progress.aside(|| print(&console.screen, &change))?,
            FeedItem::Missed => {
                progress.aside(|| output::note("some changes were missed and are no longer kept; continuing from now"));
            }
        }
        last.clone_from(&feed.last);
    }
}

/// Prints one change.
fn print(screen: &Screen, change: &Value) -> Result<(), Failure> {
    if screen.quiet || !matches!(screen.format, Format::Table | Format::Wide) {
        return event_log::print(screen, change);
    }
    let at = cell(change, "at");
    let time = at.get(11..23).unwrap_or(&at);
    let parts = [event_log::state(change), event_log::message(change)];
    let parts: Vec<String> = parts.into_iter().filter(|text| !text.is_empty()).collect();
    let (entity, what) = (cell(change, "entity"), event_log::what(change).0);
    output::line(printable(&format!("{time}  {entity:<44}  {what:<27}  {}", parts.join("; "))));
    Ok(())
}

/// Polls the states of sessions; changes between two polls are not seen.
async fn look(args: &Args, console: &Console) -> Result<(), Failure> {
    let query =
        [("status", Some("all".to_owned())), ("user_id", args.user.clone()), ("platform", args.platform.clone())];
    let mut tolerance = Tolerance::default();
    let mut known: Option<HashMap<String, String>> = None;
    loop {
        if let Some(rows) = tolerance.with(console.client.list("/sessions", &query, usize::MAX).await)? {
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

/// A changed session in the form of a feed item.
fn seen(entity: &str, row: &Value) -> Value {
    json!({ "entity": entity, "kind": "decision", "subject": "streamspace.session.status", "at": row["updated_at"],
        "generation": row["generation"], "status": row["status"], "user_id": row["user_id"], "platform": row["platform"],
        "changes": { "status": row["status"] }, "payload": { "message": row["message"] } })
}
