//! A dead letter as it is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::queries::ListedLetter;
use engine::store::dead_letter;
use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::edit::Edited;
use crate::jobs::Outlook;
use crate::timestamp::Timestamp;

/// Something that could not be processed, with everything that is known of it.
#[derive(Debug, Object, Serialize)]
pub(crate) struct DeadLetter {
    /// Identity.
    id: Uuid,
    /// The event, where it could be read.
    event_id: Option<Uuid>,
    /// Where it was going.
    subject: String,
    /// A stable word: `undecodable`, `illegal`, `retries_exhausted`, `permanent`, `poison`, ...
    reason: String,
    /// The last error; in lists its first 1,024 characters.
    error: String,
    /// The error history; empty in lists.
    attempts: Vec<Attempt>,
    /// What it said; null where it is not JSON, and in lists.
    payload: Value,
    /// Its exact bytes; null in lists.
    payload_base64: Option<String>,
    /// How many bytes it has.
    payload_bytes: i64,
    /// Its headers, as pairs of name and value; empty in lists.
    headers: Value,
    /// What it was about, as `session:<id>`.
    entity: Option<String>,
    /// Who was to process it, or sent it.
    controller_id: Option<String>,
    /// Where.
    platform: Option<String>,
    /// When it was parked.
    created_at: Timestamp,
    /// How often the same came while it was open: from the same sender, with the same error.
    count: i64,
    /// When it came last.
    last_seen_at: Timestamp,
    /// `open`, `replayed` or `discarded`.
    status: String,
    /// What came of its replay, or why it was discarded.
    note: Option<String>,
    /// Who replayed or discarded it.
    settled_by: Option<String>,
    /// The same for letters of one cause: what they can be filtered and replayed by together.
    fingerprint: String,
    /// How it was corrected, where it was; null in lists.
    edit: Option<Edited>,
    /// Why it can only be read and discarded, where that is so: it claims to be what the log does not hold, or what no engine has
    /// parked. Only in the answer to a read of this one letter.
    foreign: Option<String>,
    /// What its replay would do; only in the answer to a dry run.
    outlook: Option<Outlook>,
}

impl DeadLetter {
    /// With why it is foreign.
    pub(super) fn marked(self, foreign: Option<String>) -> Self {
        Self { foreign, ..self }
    }

    /// With what its replay would do.
    pub(super) fn with(self, outlook: engine::writer::Outlook) -> Self {
        Self { outlook: Some(outlook.into()), ..self }
    }
}

/// One attempt that failed.
#[derive(Debug, Object, Serialize)]
struct Attempt {
    /// Which, from 1.
    attempt: i64,
    /// When.
    at: Option<Timestamp>,
    /// Why.
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

/// As lists show it.
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

/// The engine's own history has failures with a code; whoever else parks may have written a text.
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
