//! A dead letter as it is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::store::dead_letter;
use engine::use_cases::ListedLetter;
use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::edit::Edited;
use crate::jobs::Outlook;
use crate::timestamp::Timestamp;

/// A message that could not be processed, with everything that is known of it.
#[derive(Debug, Object, Serialize)]
pub(crate) struct DeadLetter {
    /// Identity.
    id: Uuid,
    /// The event, if it could be read.
    event_id: Option<Uuid>,
    /// Original subject.
    subject: String,
    /// A machine-readable reason: `undecodable`, `illegal`, `retries_exhausted`, `permanent`, `poison`, ...
    reason: String,
    /// The last error; in lists at most 1,024 characters.
    error: String,
    /// The error history; empty in lists.
    attempts: Vec<Attempt>,
    /// Its payload as JSON; null if it is not JSON, and in lists.
    payload: Value,
    /// Its exact bytes; null in lists.
    payload_base64: Option<String>,
    /// Size of its payload.
    payload_bytes: i64,
    /// Its headers as pairs of name and value; empty in lists.
    headers: Value,
    /// The entity it is about, such as `session:<id>`.
    entity: Option<String>,
    /// Controller that was to process it, or sent it.
    controller_id: Option<String>,
    /// Platform.
    platform: Option<String>,
    /// When it was parked.
    created_at: Timestamp,
    /// How often it occurred while it was open: from the same sender, with the same error.
    count: i64,
    /// When it occurred last.
    last_seen_at: Timestamp,
    /// `open`, `replayed` or `discarded`.
    status: String,
    /// The result of its replay, or the reason of its discard.
    note: Option<String>,
    /// Who replayed or discarded it.
    settled_by: Option<String>,
    /// The same for all letters of one cause; letters can be filtered and replayed by it.
    fingerprint: String,
    /// Its correction, if there is one; null in lists.
    edit: Option<Edited>,
    /// Why it can only be read and discarded: it claims to be what the log does not contain, or what no engine
    /// has parked. Only when reading this letter.
    foreign: Option<String>,
    /// What a replay would do; only in the answer to a dry run.
    outlook: Option<Outlook>,
}

impl DeadLetter {
    /// Adds why it is foreign.
    pub(super) fn marked(self, foreign: Option<String>) -> Self {
        Self { foreign, ..self }
    }

    /// Adds what a replay would do.
    pub(super) fn with(self, outlook: engine::use_cases::Outlook) -> Self {
        Self { outlook: Some(outlook.into()), ..self }
    }
}

/// A failed attempt.
#[derive(Debug, Object, Serialize)]
struct Attempt {
    /// Number, counted from 1.
    attempt: i64,
    /// Time of the failure.
    at: Option<Timestamp>,
    /// Error.
    error: String,
}

impl From<dead_letter::Model> for DeadLetter {
    fn from(row: dead_letter::Model) -> Self {
        let attempts = row.attempts.as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            id: row.id,
            event_id: row.event_id,
            subject: row.subject,
            reason: row.reason,
            error: row.error,
            attempts: attempts.iter().enumerate().map(|(i, one)| attempt(i, one)).collect(),
            payload: serde_json::from_slice(&row.payload).unwrap_or_default(),
            payload_base64: Some(STANDARD.encode(&row.payload)),
            payload_bytes: row.payload.len() as i64,
            headers: row.headers,
            entity: row.entity,
            controller_id: row.controller_id,
            platform: row.platform,
            created_at: Timestamp::from_ms(row.created_ms),
            count: row.count.max(1),
            last_seen_at: Timestamp::from_ms(row.last_ms.unwrap_or(row.created_ms)),
            status: row.status,
            note: row.note,
            settled_by: row.settled_by,
            fingerprint: row.fingerprint,
            edit: row.edit.map(Into::into),
            foreign: None,
            outlook: None,
        }
    }
}

/// As shown in lists.
impl From<ListedLetter> for DeadLetter {
    fn from(row: ListedLetter) -> Self {
        Self {
            id: row.id,
            event_id: row.event_id,
            subject: row.subject,
            reason: row.reason,
            error: row.error,
            attempts: Vec::new(),
            payload: Value::Null,
            payload_base64: None,
            payload_bytes: row.payload_bytes,
            headers: Value::Array(Vec::new()),
            entity: row.entity,
            controller_id: row.controller_id,
            platform: row.platform,
            created_at: Timestamp::from_ms(row.created_ms),
            count: row.count.max(1),
            last_seen_at: Timestamp::from_ms(row.last_ms.unwrap_or(row.created_ms)),
            status: row.status,
            note: row.note,
            settled_by: row.settled_by,
            fingerprint: row.fingerprint,
            edit: None,
            foreign: None,
            outlook: None,
        }
    }
}

/// The engine's own history has failures with a code; other senders may have written a text.
fn attempt(index: usize, value: &Value) -> Attempt {
    let error = match (&value["error"]["code"], &value["error"]["message"], &value["error"]) {
        (Value::String(code), Value::String(message), _) => format!("{code}: {message}"),
        (_, _, Value::String(text)) => text.clone(),
        (_, _, other) => other.to_string(),
    };
    Attempt {
        attempt: value["attempt"].as_i64().unwrap_or(index as i64 + 1),
        at: value["at_ms"].as_i64().map(Timestamp::from_ms),
        error,
    }
}
