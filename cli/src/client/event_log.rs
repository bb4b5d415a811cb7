//! Follows one entity through its log, event by event, until it reaches its goal or for ever.

use serde_json::Value;

use super::Console;
use super::change_wait::ChangeWait;
use super::transport::{Client, PAGE};
use super::wait::{Goal, Outcome, Tolerance};
use crate::failure::Failure;
use crate::output::{self, Format, Progress, Screen, cell, printable};

/// Prints every event until the goal is reached; with `follow`, for ever.
pub(super) async fn follow(console: &Console, goal: &Goal, id: impl ToString, follow: bool) -> Result<(), Failure> {
    let path = goal.resource.at(id.to_string());
    let mut latest = serde_json::json!({ goal.resource.id: id.to_string() });
    tokio::select! {
        result = follow_log(console, goal, &path, follow, &mut latest) => result,
        _ = tokio::signal::ctrl_c() => Err(goal.interrupted(&latest)),
    }
}

async fn follow_log(
    console: &Console,
    goal: &Goal,
    path: &str,
    follow: bool,
    latest: &mut Value,
) -> Result<(), Failure> {
    let client = &console.client;
    let mut log = Log { path: format!("{path}/events"), cursor: None, seen: 0 };
    let mut tolerance = Tolerance::default();
    let mut progress = Progress::spinner(&console.screen);
    let mut changes =
        ChangeWait::of(client, format!("{}:{}", goal.resource.noun, cell(latest, goal.resource.id))).await;
    loop {
        // The state is read before the log, which then contains what led to the state.
        let row = tolerance.with(client.get(path, &[]).await)?;
        let events = tolerance.with(log.more(client).await)?.unwrap_or_default();
        progress.aside(|| events.iter().try_for_each(|event| print(&console.screen, event)))?;
        if let Some(row) = row {
            progress.say(&(goal.standing)(&row));
            *latest = row;
            match (goal.outcome)(latest) {
                _ if follow => {}
                Outcome::Underway => {}
                Outcome::Done => return Ok(()),
                Outcome::Failed => return Err(goal.failed(latest)),
            }
        }
        changes.next().await;
    }
}

/// The log as far as it was read.
struct Log {
    path: String,
    /// Cursor of the last page, to which later events are added.
    cursor: Option<String>,
    seen: i64,
}

impl Log {
    /// The events since the last call.
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

/// Prints one event: a line for people, a document for programs.
pub(super) fn print(screen: &Screen, event: &Value) -> Result<(), Failure> {
    match screen.format {
        _ if screen.quiet => output::line(printable(&cell(event, "event_id"))),
        Format::Table | Format::Wide => output::line(line(event)),
        Format::Json => output::line(serde_json::to_string(event)?),
        Format::Yaml => output::line(format!("---\n{}", serde_saphyr::to_string(event)?.trim_end())),
    }
    Ok(())
}

/// Time, action, actor, attempt and message.
fn line(event: &Value) -> String {
    let at = cell(event, "at");
    let time = at.get(11..23).unwrap_or(&at);
    let (what, by) = what(event);
    let attempt = event["attempt"].as_i64().filter(|attempt| *attempt > 1);
    let attempt = attempt.map(|attempt| format!("attempt {attempt}")).unwrap_or_default();
    let parts = [state(event), attempt, message(event)];
    let parts: Vec<String> = parts.into_iter().filter(|text| !text.is_empty()).collect();
    printable(&format!("{time}  {what:<27}  {by:<18}  {}", parts.join("; ")))
}

/// The resulting state.
pub(super) fn state(event: &Value) -> String {
    let states = ["changes.status", "changes.install_status"].map(|field| cell(event, field));
    states.into_iter().find(|state| !state.is_empty()).map(|state| format!("now {state}")).unwrap_or_default()
}

/// The action, and who took it.
pub(super) fn what(event: &Value) -> (String, String) {
    let subject = cell(event, "subject");
    let words: Vec<&str> = subject.split('.').filter(|word| *word != "streamspace").take(2).collect();
    let (verb, controller) = (words.join("."), cell(event, "controller_id"));
    match event["kind"].as_str() {
        Some("command") => {
            (verb, if controller.is_empty() { "engine".into() } else { format!("engine > {controller}") })
        }
        Some("report") => (format!("{verb} {}", cell(event, "payload.status")).trim_end().to_owned(), controller),
        _ => {
            let decision = cell(event, "payload.decision");
            (if decision.is_empty() { verb } else { decision }, "engine".into())
        }
    }
}

/// The reason, if there is one.
pub(super) fn message(event: &Value) -> String {
    let fields = ["error_message", "payload.error.message", "payload.message", "changes.reason", "payload.reason"];
    fields.into_iter().map(|field| cell(event, field)).find(|text| !text.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
