//! Following a session through its log until it is where it should be, or will not get there.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Client, PAGE, session};
use crate::failure::{Failure, Kind};
use crate::output::{self, Format, cell, printable};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A server that restarts is waited for this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a session is, seen from where it should be.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// There.
    Done,
    /// On its way, or waiting for another attempt.
    Underway,
    /// It will not get there by itself.
    Failed,
}

fn outcome(session: &Value) -> Outcome {
    let status = &session["status"];
    if *status == session["desired"] {
        return Outcome::Done;
    }
    if status == "failed" && session["next_attempt_at"].is_null() { Outcome::Failed } else { Outcome::Underway }
}

/// Prints every event, until the session is where it should be; with `follow` for ever.
pub(super) async fn run(client: &Client, id: Uuid, format: Format, follow: bool) -> Result<(), Failure> {
    let mut log = Log { path: format!("{}/events", session::path(id)), cursor: None, seen: 0 };
    let mut patience = Patience::default();
    loop {
        // The session is read first: what moved it there is in the log by then.
        let session = patience.with(client.get(&session::path(id), &[]).await)?;
        let events = patience.with(log.more(client).await)?.unwrap_or_default();
        events.iter().try_for_each(|event| tell(format, event))?;
        if let Some(session) = session.filter(|_| !follow) {
            match outcome(&session) {
                Outcome::Underway => {}
                Outcome::Done => return Ok(()),
                Outcome::Failed => return Err(failed(&session)),
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Waits, without a word, for a session that something was asked of; its state then.
pub(super) async fn until_settled(client: &Client, asked: &Value, timeout: Duration) -> Result<Value, Failure> {
    let id = cell(asked, "session_id");
    let deadline = Instant::now() + timeout;
    let mut patience = Patience::default();
    let mut latest = asked.clone();
    loop {
        match outcome(&latest) {
            Outcome::Done => return Ok(latest),
            Outcome::Failed => return Err(failed(&latest)),
            Outcome::Underway if Instant::now() >= deadline => return Err(late(&latest)),
            Outcome::Underway => sleep(LOOK_EVERY).await,
        }
        if let Some(session) = patience.with(client.get(&format!("/sessions/{id}"), &[]).await)? {
            latest = session;
        }
    }
}

fn failed(session: &Value) -> Failure {
    let why = ["message", "reason"].into_iter().map(|name| cell(session, name)).find(|text| !text.is_empty());
    let (id, why) = (cell(session, "session_id"), why.map(|why| format!(": {why}")).unwrap_or_default());
    Failure::new(Kind::Failed, format!("session {id} failed{why}")).hint(format!(
        "`streamspace session watch {id}` for its whole story, `streamspace session wake {id}` to start it again"
    ))
}

fn late(session: &Value) -> Failure {
    let why = ["reason", "message"].into_iter().map(|name| cell(session, name)).find(|text| !text.is_empty());
    let (id, why) = (cell(session, "session_id"), why.map(|why| format!(" ({why})")).unwrap_or_default());
    Failure::new(Kind::Unavailable, format!("session {id} is still {}{why}", cell(session, "status")))
        .hint(format!("`streamspace session watch {id}`; it goes on without us"))
}

/// The log as far as it was read.
struct Log {
    path: String,
    /// Of the last page, which later events are added to.
    cursor: Option<String>,
    seen: i64,
}

impl Log {
    /// What came since.
    async fn more(&mut self, client: &Client) -> Result<Vec<Value>, Failure> {
        let mut fresh = Vec::new();
        loop {
            let query = [("limit", Some(PAGE.to_owned())), ("cursor", self.cursor.clone())];
            let page = client.get(&self.path, &query).await?;
            for event in page["items"].as_array().into_iter().flatten() {
                let position = event["entity_seq"].as_i64().unwrap_or(0);
                if position > self.seen {
                    self.seen = position;
                    fresh.push(event.clone());
                }
            }
            match page["next_cursor"].as_str() {
                Some(next) => self.cursor = Some(next.to_owned()),
                None => return Ok(fresh),
            }
        }
    }
}

/// A server that is away for a while is no reason to give up.
#[derive(Debug, Default)]
struct Patience {
    away_since: Option<Instant>,
}

impl Patience {
    fn with<T>(&mut self, answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match answer {
            Ok(answer) => {
                self.away_since = None;
                Ok(Some(answer))
            }
            Err(failure) if failure.kind == Kind::Unavailable => {
                let since = *self.away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE { Err(failure) } else { Ok(None) }
            }
            Err(failure) => Err(failure),
        }
    }
}

fn tell(format: Format, event: &Value) -> Result<(), Failure> {
    match format {
        Format::Table => output::line(line(event)),
        Format::Json => output::line(serde_json::to_string(event)?),
        Format::Yaml => output::line(format!("---\n{}", serde_saphyr::to_string(event)?.trim_end())),
    }
    Ok(())
}

/// Time, what, by whom, attempt, message.
fn line(event: &Value) -> String {
    let at = cell(event, "at");
    let time = at.get(11..23).unwrap_or(&at);
    let (what, by) = what(event);
    let attempt = event["attempt"].as_i64().filter(|attempt| *attempt > 1);
    let attempt = attempt.map(|attempt| format!("attempt {attempt}")).unwrap_or_default();
    let state = cell(event, "changes.status");
    let state = if state.is_empty() { state } else { format!("now {state}") };
    let said = [state, attempt, message(event)];
    let said: Vec<String> = said.into_iter().filter(|text| !text.is_empty()).collect();
    printable(&format!("{time}  {what:<27}  {by:<18}  {}", said.join("; ")))
}

fn what(event: &Value) -> (String, String) {
    let subject = cell(event, "subject");
    let words: Vec<&str> = subject.split('.').filter(|word| *word != "streamspace").take(2).collect();
    let (verb, controller) = (words.join("."), cell(event, "controller_id"));
    match event["kind"].as_str() {
        Some("command") => {
            (verb, if controller.is_empty() { "engine".into() } else { format!("engine > {controller}") })
        }
        Some("report") => (format!("{verb} {}", cell(event, "payload.status")), controller),
        _ => (cell(event, "payload.decision"), "engine".into()),
    }
}

fn message(event: &Value) -> String {
    let fields = ["error_message", "payload.error.message", "payload.message", "changes.reason", "payload.reason"];
    fields.into_iter().map(|field| cell(event, field)).find(|text| !text.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failed_session_that_will_be_tried_again_is_under_way() {
        let session = json!({ "status": "failed", "desired": "running", "next_attempt_at": "2026-01-01T00:00:00Z" });
        assert_eq!(outcome(&session), Outcome::Underway);
        assert_eq!(outcome(&json!({ "status": "failed", "desired": "running" })), Outcome::Failed);
        assert_eq!(outcome(&json!({ "status": "deleted", "desired": "deleted" })), Outcome::Done);
    }

    #[test]
    fn an_event_says_when_what_by_whom_and_why_on_one_line() {
        let event = json!({ "at": "2026-01-01T10:20:30.123Z", "kind": "report", "attempt": 2,
            "subject": "streamspace.session.status.local.local-1", "controller_id": "local-1",
            "payload": { "status": "failed", "error": { "message": "no\u{1b}[31m room" } }, "changes": { "status": "failed" } });
        let line = line(&event);
        for part in ["10:20:30.123", "session.status failed", "local-1", "now failed", "attempt 2", "no [31m room"] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}
