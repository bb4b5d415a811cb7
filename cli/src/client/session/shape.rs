//! How a session is shown, and when it has reached its goal.

use serde_json::Value;

use crate::client::resource::Resource;
use crate::client::wait::{Goal, Outcome};
use crate::output::{Column, cell};

pub(super) const SESSION: Resource = Resource {
    noun: "session",
    path: "/sessions",
    id: "session_id",
    state: status,
    columns: &[
        Column::field("ID", "session_id").rank(0),
        Column::field("TEMPLATE", "template_id").rank(4),
        Column::field("PLATFORM", "platform").rank(6),
        Column::made("STATUS", status).state().rank(1),
        Column::field("USER", "user_id").rank(5),
        Column::field("URL", "url").rank(2),
        Column::field("CREATED", "created_at").time().rank(3),
        Column::field("CONTROLLER", "controller_id").wide(),
        Column::field("REASON", "reason").wide(),
        Column::field("MESSAGE", "message").wide(),
        Column::made("TAGS", |row| listed(row, "tags")).wide(),
    ],
    facts: &[
        Column::field("id", "session_id"),
        Column::field("template", "template_id"),
        Column::field("user", "user_id"),
        Column::made("status", status).state(),
        Column::field("reason", "reason"),
        Column::field("message", "message"),
        Column::field("url", "url"),
        Column::field("platform", "platform"),
        Column::field("controller", "controller_id"),
        Column::field("placed there as", "placement"),
        Column::made("must be labelled", |row| pairs(row, "selector")),
        Column::field("resource", "pod_name"),
        Column::field("memory", "resources.memory"),
        Column::field("cpu", "resources.cpu"),
        Column::field("persistent home", "persistent_home"),
        Column::field("idle timeout", "idle_timeout"),
        Column::field("max duration", "max_duration"),
        Column::made("awake because", awake),
        Column::field("sleeps at", "awake.sleeps_at"),
        Column::field("expires at", "awake.expires_at"),
        Column::field("extendable until", "awake.extendable_until"),
        Column::made("tags", |row| listed(row, "tags")),
        Column::made("metadata", |row| pairs(row, "metadata")),
        Column::made("attempt", |row| Some(cell(row, "attempt")).filter(|n| n != "0").unwrap_or_default()),
        Column::field("next attempt", "next_attempt_at"),
        Column::field("connections", "connections"),
        Column::field("last activity", "last_activity"),
        Column::field("created", "created_at"),
        Column::field("updated", "updated_at"),
    ],
    none: "no sessions; `streamspace session create scratchpad` makes one",
};

/// The session is in its desired state.
pub(super) const SETTLED: Goal = Goal {
    resource: &SESSION,
    outcome,
    standing,
    advice: "`streamspace session watch ID` for its events, `streamspace session wake ID` to start it again",
    watch: "streamspace session watch",
};

fn outcome(session: &Value) -> Outcome {
    let status = &session["status"];
    if *status == session["desired"] {
        return Outcome::Done;
    }
    if status == "failed" && session["next_attempt_at"].is_null() { Outcome::Failed } else { Outcome::Underway }
}

/// The state, and the desired one if it differs.
fn status(row: &Value) -> String {
    let (status, desired) = (cell(row, "status"), cell(row, "desired"));
    if status == desired { status } else { format!("{status} (to be {desired})") }
}

fn standing(row: &Value) -> String {
    let attempt = cell(row, "attempt");
    let attempt = if matches!(attempt.as_str(), "" | "0" | "1") { String::new() } else { format!("attempt {attempt}") };
    let controller = Some(cell(row, "controller_id")).filter(|id| !id.is_empty()).map(|id| format!("on {id}"));
    let parts = [status(row), controller.unwrap_or_default(), attempt, cell(row, "reason"), cell(row, "message")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn listed(row: &Value, name: &str) -> String {
    row[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn pairs(row: &Value, name: &str) -> String {
    let pairs = row[name].as_object().into_iter().flatten();
    pairs
        .map(|(name, value)| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why it is not hibernated, as the engine states it.
fn awake(row: &Value) -> String {
    let reasons = row["awake"]["reasons"].as_array().into_iter().flatten().map(|reason| {
        let since =
            Some(cell(reason, "since")).filter(|since| !since.is_empty()).map(|since| format!(" since {since}"));
        let detail = Some(cell(reason, "detail")).filter(|text| !text.is_empty()).map(|text| format!(" ({text})"));
        format!("{}{}{}", cell(reason, "kind"), detail.unwrap_or_default(), since.unwrap_or_default())
    });
    reasons.collect::<Vec<_>>().join("; ")
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
    fn why_it_is_awake_is_one_line() {
        let session = json!({ "awake": { "reasons": [
            { "kind": "connections", "detail": "2 open", "since": "2026-01-01T00:00:00Z" }, { "kind": "activity" }] } });
        assert_eq!(awake(&session), "connections (2 open) since 2026-01-01T00:00:00Z; activity");
        assert_eq!(awake(&json!({})), "");
    }
}
