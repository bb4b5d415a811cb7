//! A session's row as it is first written, as it is updated, and as its commands' payloads.

use machine::session::Session;
use serde_json::{Value, json};
use streams::subject::Verb;
use streams::wire::{Manifest, SessionCommand, SessionCreate};
use uuid::Uuid;

use super::work::NewSession;
use crate::store::bulk::{self, Update};
use crate::store::session;

pub(super) fn first_row(new: &NewSession, manifest: Value, facts: &Session, now_ms: i64) -> session::Model {
    let mut row = session::Model {
        session_id: new.session_id,
        user_id: new.user_id.clone(),
        template_id: new.template_id.clone(),
        template: manifest,
        platform: new.platform.clone(),
        resources: json!(new.resources),
        persistent_home: new.persistent_home,
        tags: json!(new.tags),
        metadata: Value::Object(new.metadata.clone()),
        created_ms: now_ms,
        ..empty_row(new.session_id)
    };
    row.assume(facts.clone(), now_ms);
    row
}

fn empty_row(session_id: Uuid) -> session::Model {
    session::Model {
        session_id,
        user_id: String::new(),
        template_id: String::new(),
        template: Value::Null,
        platform: String::new(),
        controller_id: None,
        lane: None,
        status: String::new(),
        desired: String::new(),
        generation: 0,
        resources: json!({}),
        persistent_home: false,
        idle_timeout_s: None,
        max_duration_s: None,
        tags: json!([]),
        metadata: json!({}),
        reason: None,
        message: None,
        phase: None,
        url: None,
        pod_name: None,
        command_id: None,
        command_verb: None,
        attempt: 0,
        starts: 0,
        starter: None,
        next_attempt_ms: None,
        deadline_ms: None,
        expires_ms: None,
        seen_generation: 0,
        seen_epoch: 0,
        seen_seq: 0,
        failures: json!([]),
        debt: false,
        entity_seq: 0,
        created_ms: 0,
        updated_ms: 0,
        idle_ms: None,
        wake_ms: None,
        last_activity_ms: 0,
        connections: None,
        resource_usage: None,
    }
}

/// The contract's payload of a command.
pub(super) fn command_payload(
    row: &session::Model,
    after: &Session,
    event_id: Uuid,
    verb: Verb,
    force: bool,
    now_ms: i64,
) -> Value {
    let timestamp = chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
    let (session_id, generation, attempt) = (row.session_id, after.generation, after.attempt);
    if !matches!(verb, Verb::SessionCreate | Verb::SessionWake) {
        let (user_id, platform) = (row.user_id.clone(), row.platform.clone());
        let force = (verb == Verb::SessionDelete).then_some(force);
        return json!(SessionCommand {
            event_id,
            timestamp,
            session_id,
            user_id,
            platform,
            force,
            generation,
            attempt
        });
    }
    let idle = row.idle_timeout_s.and_then(|s| u64::try_from(s).ok()).map(std::time::Duration::from_secs);
    json!(SessionCreate {
        event_id,
        timestamp,
        session_id,
        user_id: row.user_id.clone(),
        template_id: row.template_id.clone(),
        platform: row.platform.clone(),
        resources: serde_json::from_value(row.resources.clone()).unwrap_or_default(),
        persistent_home: row.persistent_home,
        idle_timeout: idle.map(streams::duration::format),
        metadata: row.metadata.as_object().cloned().unwrap_or_default(),
        template: serde_json::from_value::<Manifest>(row.template.clone()).ok(),
        generation,
        attempt,
    })
}

/// Every column that a decision may change.
pub(super) const UPDATE: Update<'_> = Update {
    table: "sessions",
    key: bulk::uuid("session_id"),
    set: &[
        bulk::text("controller_id"),
        bulk::text("lane"),
        bulk::text("status"),
        bulk::text("desired"),
        bulk::int("generation"),
        bulk::json("tags"),
        bulk::int("idle_timeout_s"),
        bulk::text("reason"),
        bulk::text("message"),
        bulk::text("phase"),
        bulk::text("url"),
        bulk::text("pod_name"),
        bulk::uuid("command_id"),
        bulk::text("command_verb"),
        bulk::int("attempt"),
        bulk::int("starts"),
        bulk::uuid("starter"),
        bulk::int("next_attempt_ms"),
        bulk::int("deadline_ms"),
        bulk::int("expires_ms"),
        bulk::int("seen_generation"),
        bulk::int("seen_epoch"),
        bulk::int("seen_seq"),
        bulk::json("failures"),
        bulk::boolean("debt"),
        bulk::int("entity_seq"),
        bulk::int("updated_ms"),
        bulk::int("idle_ms"),
        bulk::int("wake_ms"),
        bulk::int("last_activity_ms"),
        bulk::int("connections"),
        bulk::json("resource_usage"),
    ],
    read: &[],
    guard: "true",
};

/// The same columns of one row.
pub(super) fn update_row(row: &session::Model) -> Value {
    json!({
        "session_id": row.session_id, "controller_id": row.controller_id, "lane": row.lane, "status": row.status,
        "desired": row.desired, "generation": row.generation, "tags": row.tags, "idle_timeout_s": row.idle_timeout_s,
        "reason": row.reason, "message": row.message, "phase": row.phase, "url": row.url, "pod_name": row.pod_name,
        "command_id": row.command_id, "command_verb": row.command_verb, "attempt": row.attempt, "starts": row.starts,
        "starter": row.starter, "next_attempt_ms": row.next_attempt_ms, "deadline_ms": row.deadline_ms,
        "expires_ms": row.expires_ms, "seen_generation": row.seen_generation, "seen_epoch": row.seen_epoch,
        "seen_seq": row.seen_seq, "failures": row.failures, "debt": row.debt, "entity_seq": row.entity_seq,
        "updated_ms": row.updated_ms, "idle_ms": row.idle_ms, "wake_ms": row.wake_ms,
        "last_activity_ms": row.last_activity_ms, "connections": row.connections,
        "resource_usage": row.resource_usage,
    })
}
