//! A session's row as it is first written, as it is updated, and as its commands' payloads.

use std::sync::LazyLock;

use machine::facts::Facts as _;
use machine::session::Session;
use sea_orm::{DatabaseTransaction, DbErr, IdenStatic};
use serde::Deserialize;
use serde_json::{Value, json};
use streams::subject::Verb;
use streams::wire::{Manifest, Resources, SessionCommand, SessionCreate};
use uuid::Uuid;

use super::work::NewSession;
use crate::store::bulk::{self, Insert, Update};
use crate::store::session::{self, Column as C};
use crate::store::text::{Body, Text};

pub(super) fn first_row(new: &NewSession, template: &Pinned, facts: &Session, now_ms: i64) -> session::Model {
    let mut row = session::Model {
        session_id: new.session_id,
        user_id: new.user_id.clone(),
        template_id: new.template_id.clone(),
        resources: json!(filled(&new.resources, &template.defaults)),
        template: template.manifest.clone(),
        platform: new.platform.clone(),
        selector: Value::Object(new.selector.clone()),
        persistent_home: new.persistent_home,
        tags: json!(new.tags),
        metadata: Value::Object(new.metadata.clone()),
        created_ms: now_ms,
        ..empty_row(new.session_id)
    };
    row.assume(facts.clone(), now_ms);
    row
}

/// What sessions that are created take of their template.
#[derive(Debug, Clone)]
pub(super) struct Pinned {
    manifest: Text,
    defaults: Resources,
}

impl Pinned {
    pub(super) fn of(manifest: &Value) -> Self {
        let defaults = Resources::deserialize(&manifest["spec"]["defaultResources"]).unwrap_or_default();
        Self { manifest: Text::new(manifest), defaults }
    }

    /// The template, as its sessions' commands carry it.
    pub(super) fn text(&self) -> &str {
        self.manifest.as_str()
    }

    pub(super) fn readiness_ms(&self) -> i64 {
        readiness_ms(&self.manifest)
    }
}

/// How long a start may take to become ready, in milliseconds, where its template says so. Most say nothing, and are not read.
pub(super) fn readiness_ms(manifest: &Text) -> i64 {
    if !manifest.as_str().contains("\"readiness\"") {
        return 0;
    }
    let manifest: Option<Manifest> = serde_json::from_str(manifest.as_str()).ok();
    let timeout = manifest.and_then(|manifest| manifest.readiness_timeout());
    timeout.map_or(0, |timeout| i64::try_from(timeout.as_millis()).unwrap_or(0))
}

/// What was asked for, and the template's defaults in the gaps.
fn filled(asked: &Resources, defaults: &Resources) -> Resources {
    let or = |asked: &Option<String>, default: &Option<String>| asked.as_ref().or(default.as_ref()).cloned();
    Resources { memory: or(&asked.memory, &defaults.memory), cpu: or(&asked.cpu, &defaults.cpu) }
}

/// What the log says of a new session: the machine's facts, and the columns that are folded though it knows nothing of them.
pub(super) fn first_changes(row: &session::Model, facts: &Session) -> Body {
    let (tags, metadata) = (row.tags.to_string(), row.metadata.to_string());
    Body::object(&facts.hard_facts()).with("tags", &tags).with("metadata", &metadata).with("amended_seq", "0")
}

fn empty_row(session_id: Uuid) -> session::Model {
    session::Model {
        session_id,
        user_id: String::new(),
        template_id: String::new(),
        template: Text::new(&()),
        platform: String::new(),
        controller_id: None,
        lane: None,
        placement: None,
        status: String::new(),
        desired: String::new(),
        generation: 0,
        resources: json!({}),
        selector: json!({}),
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
        in_turn: false,
        deadline_ms: None,
        run_ms: None,
        expires_ms: None,
        awake_until_ms: None,
        extended_s: 0,
        extended_at_ms: None,
        idle_warned_ms: None,
        expiry_warned_ms: None,
        seen_generation: 0,
        seen_epoch: 0,
        seen_seq: 0,
        failures: json!([]),
        debt: false,
        has_room: None,
        entity_seq: 0,
        amended_seq: 0,
        created_ms: 0,
        updated_ms: 0,
        idle_ms: None,
        wake_ms: None,
        last_activity_ms: 0,
        last_sign: String::new(),
        connections: None,
        connected_ms: None,
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
) -> Body {
    let timestamp = chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
    let (session_id, generation, attempt) = (row.session_id, after.command.generation, after.command.attempt);
    if !matches!(verb, Verb::SessionCreate | Verb::SessionWake) {
        let (user_id, platform) = (row.user_id.clone(), row.platform.clone());
        let force = (verb == Verb::SessionDelete).then_some(force);
        let command = SessionCommand { event_id, timestamp, session_id, user_id, platform, force, generation, attempt };
        return Body::object(&command);
    }
    let idle = row.idle_timeout_s.and_then(|s| u64::try_from(s).ok()).map(std::time::Duration::from_secs);
    let command = SessionCreate {
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
        template: None, // it follows as the text that it is
        generation,
        attempt,
    };
    Body::object(&command).with("template", row.template.as_str())
}

/// Every column that a decision may change, after the key.
const CHANGED: [C; 43] = [
    C::SessionId,
    C::ControllerId,
    C::Lane,
    C::Placement,
    C::Status,
    C::Desired,
    C::Generation,
    C::IdleTimeoutS,
    C::Reason,
    C::Message,
    C::Phase,
    C::Url,
    C::PodName,
    C::CommandId,
    C::CommandVerb,
    C::Attempt,
    C::Starts,
    C::Starter,
    C::NextAttemptMs,
    C::InTurn,
    C::DeadlineMs,
    C::RunMs,
    C::ExpiresMs,
    C::AwakeUntilMs,
    C::ExtendedS,
    C::ExtendedAtMs,
    C::IdleWarnedMs,
    C::ExpiryWarnedMs,
    C::SeenGeneration,
    C::SeenEpoch,
    C::SeenSeq,
    C::Failures,
    C::Debt,
    C::HasRoom,
    C::EntitySeq,
    C::UpdatedMs,
    C::IdleMs,
    C::WakeMs,
    C::LastActivityMs,
    C::LastSign,
    C::Connections,
    C::ConnectedMs,
    C::ResourceUsage,
];

static INSERT: LazyLock<Insert> = LazyLock::new(|| Insert::of::<session::Entity>("sessions", &[]));

static UPDATE: LazyLock<Update> = LazyLock::new(|| {
    let [key, set @ ..] = CHANGED;
    Update::new("sessions", key.as_str(), set.iter().map(IdenStatic::as_str))
});

pub(super) async fn insert(tx: &DatabaseTransaction, rows: Vec<session::Model>) -> Result<(), DbErr> {
    let rows = rows.into_iter().map(bulk::all_values::<session::Entity, _>).collect();
    INSERT.run(tx, rows).await.map(drop)
}

pub(super) async fn update(tx: &DatabaseTransaction, rows: Vec<session::Model>) -> Result<(), DbErr> {
    let rows = rows.into_iter().map(|row| bulk::values::<session::Entity, _>(row, CHANGED)).collect();
    UPDATE.run(tx, rows).await.map(drop)
}
