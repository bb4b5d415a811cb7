//! A session's row as it is first written, as it is updated, and as its commands' payloads.

use machine::facts::Facts as _;
use machine::session::Session;
use serde::Deserialize;
use serde_json::{Value, json};
use streams::subject::Verb;
use streams::wire::{Manifest, Resources, SessionCommand, SessionCreate};
use uuid::Uuid;

use crate::entities::session;
use crate::store::text::{Body, Text};
use crate::writer::NewSession;

pub(crate) fn first_row(new: &NewSession, template: &Pinned, facts: &Session, now_ms: i64) -> session::Model {
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
        ..session::Model::default()
    };
    row.assume(facts.clone(), now_ms);
    row
}

/// What sessions that are created take of their template.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    manifest: Text,
    defaults: Resources,
}

impl Pinned {
    pub(crate) fn of(manifest: &Value) -> Self {
        let defaults = Resources::deserialize(&manifest["spec"]["defaultResources"]).unwrap_or_default();
        Self { manifest: Text::new(manifest), defaults }
    }

    /// The template, as its sessions' commands carry it.
    pub(crate) fn text(&self) -> &str {
        self.manifest.as_str()
    }

    pub(crate) fn readiness_ms(&self) -> i64 {
        readiness_ms(&self.manifest)
    }
}

/// How long a start may take to become ready, in milliseconds, where its template says so. Most say nothing, and are not read.
pub(crate) fn readiness_ms(manifest: &Text) -> i64 {
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
pub(crate) fn first_changes(row: &session::Model, facts: &Session) -> Body {
    let (tags, metadata) = (row.tags.to_string(), row.metadata.to_string());
    Body::object(&facts.hard_facts()).with("tags", &tags).with("metadata", &metadata).with("amended_seq", "0")
}

/// The contract's payload of a command.
pub(crate) fn command_payload(
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
