//! The steps of an event, in order: what is known of each, and when it was.

use serde_json::Value;
use streams::subject::action;
use uuid::Uuid;

use super::verdict::changed;
use super::{Facts, Verdict, in_outbox};
use crate::attempts::Tried;
use crate::store::event;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// When.
    pub at_ms: i64,
    /// Which: `accepted`, `decided`, `published`, `attempt_failed`, `reported`, `replayed`, `dead_lettered`, or the verdict of an
    /// end.
    pub step: &'static str,
    /// What is to be said of it.
    pub text: String,
    /// The row of the log that says so, where it is another than the event's own.
    pub event_id: Option<Uuid>,
    /// In which attempt.
    pub attempt: Option<i64>,
}

/// Every step that is known, oldest first; of one time in the order of the trip.
pub(super) fn hops(facts: &Facts, verdict: Verdict) -> Vec<Hop> {
    let event = &facts.event;
    let mut hops = vec![first(event, verdict)];
    hops.extend(facts.caused.iter().map(caused));
    hops.extend(facts.attempts.iter().filter(|tried| unreported(tried, &facts.caused)).map(silent));
    hops.extend(published(event));
    hops.extend(ended(event, verdict).filter(|_| facts.letter.is_none()));
    hops.extend(facts.letter.iter().map(|letter| {
        let text = format!("dead letter {}: {}", letter.id, letter.error);
        Hop { attempt: None, ..hop(letter.created_ms, "dead_lettered", text) }
    }));
    hops.sort_by_key(|hop| (hop.at_ms, rank(hop.step)));
    hops
}

const fn hop(at_ms: i64, step: &'static str, text: String) -> Hop {
    Hop { at_ms, step, text, event_id: None, attempt: None }
}

/// Where steps have one time: the order in which they can only have been.
fn rank(step: &str) -> usize {
    ["accepted", "published", "attempt_failed", "reported", "decided"].iter().position(|one| *one == step).unwrap_or(9)
}

fn first(event: &event::Model, verdict: Verdict) -> Hop {
    if event.kind != event::Kind::Command.as_str() {
        return match event.kind.as_str() {
            "report" => hop(event.created_ms, verdict.as_str(), said(event)),
            _ => hop(event.created_ms, verdict.as_str(), decided(event)),
        };
    }
    hop(event.created_ms, "accepted", format!("{} for {}", action(&event.subject), event.entity))
}

fn caused(row: &event::Model) -> Hop {
    let (step, text) = match row.kind.as_str() {
        "report" => ("reported", said(row)),
        "command" => ("replayed", format!("as {} at generation {}", row.event_id, row.generation)),
        _ => ("decided", decided(row)),
    };
    let attempt = Some(i64::from(row.attempt)).filter(|attempt| *attempt > 0);
    Hop { event_id: Some(row.event_id), attempt, ..hop(row.created_ms, step, text) }
}

/// What a report said, and what came of it.
fn said(report: &event::Model) -> String {
    let status = report.payload["status"].as_str().unwrap_or("something");
    let error = report.payload["error"]["message"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    let by = report.controller_id.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let came = match changed(report) {
        _ if report.is_superseded() => "; overtaken, and changed nothing".to_owned(),
        names if names.is_empty() => String::new(),
        names => format!("; changed {}", names.join(", ")),
    };
    format!("{status}{error}{by}{came}")
}

fn decided(row: &event::Model) -> String {
    let what = row.payload["decision"].as_str().unwrap_or_else(|| action(&row.subject));
    match &row.payload["reason"] {
        Value::String(reason) => format!("{what}: {reason}"),
        _ => what.to_owned(),
    }
}

/// Whether a failed attempt is known from the history only.
fn unreported(tried: &Tried, caused: &[event::Model]) -> bool {
    let reported = |row: &event::Model| row.kind == "report" && i64::from(row.attempt.max(1)) == tried.attempt;
    tried.outcome == "failed" && tried.error.is_some() && !caused.iter().any(reported)
}

fn silent(tried: &Tried) -> Hop {
    let text = tried.error.clone().unwrap_or_default();
    Hop { attempt: Some(tried.attempt), ..hop(tried.at_ms, "attempt_failed", text) }
}

fn published(command: &event::Model) -> Option<Hop> {
    if command.kind != event::Kind::Command.as_str() {
        return None;
    }
    let at_ms = command.published_at?.timestamp_millis();
    if in_outbox(command) {
        return Some(hop(at_ms, "published", "in an earlier attempt".into())); // the row keeps the time alone
    }
    let text = match (command.stream_epoch, command.stream_seq) {
        (Some(epoch), Some(sequence)) => format!("to {}, sequence {sequence} of epoch {epoch}", command.subject),
        _ => format!("to {}", command.subject),
    };
    Some(Hop { attempt: Some(i64::from(command.attempt)), ..hop(at_ms, "published", text) })
}

fn ended(event: &event::Model, verdict: Verdict) -> Option<Hop> {
    let at_ms = event.processed_ms?;
    let text = match (&event.error_message, &event.processed_by) {
        (Some(note), _) => note.clone(),
        (None, Some(by)) => format!("by {by}"),
        (None, None) => String::new(),
    };
    let over = matches!(verdict, Verdict::Completed | Verdict::Superseded | Verdict::Failed);
    (over && event.kind == event::Kind::Command.as_str()).then(|| hop(at_ms, verdict.as_str(), text))
}
