//! Dead letters: what could not be processed, why, and what an operator can do about it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use engine::Engine;
use engine::queries::{self, LetterFilter, Position};
use engine::store::dead_letter;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Caller;
use crate::cursor::{Limit, Page, Wanted, subject};
use crate::document::Tag;
use crate::problem::{Change, Listing, Lookup, Problem, Refused, database};
use crate::texts::{Reason, Subject};
use crate::timestamp::Timestamp;

/// Something that could not be processed, with everything that is known of it.
#[derive(Debug, Object)]
pub(crate) struct DeadLetter {
    /// Identity.
    id: Uuid,
    /// The event, where it could be read.
    event_id: Option<Uuid>,
    /// Where it was going.
    subject: String,
    /// A stable word: `undecodable`, `illegal`, `retries_exhausted`, `permanent`, `poison`, ...
    reason: String,
    /// The last error.
    error: String,
    /// The error history.
    attempts: Vec<Attempt>,
    /// What it said; null where it is not JSON.
    payload: Value,
    /// Its exact bytes.
    payload_base64: String,
    /// Its headers, as pairs of name and value.
    headers: Value,
    /// What it was about, as `session:<id>`.
    entity: Option<String>,
    /// Who was to process it, or sent it.
    controller_id: Option<String>,
    /// Where.
    platform: Option<String>,
    /// When it was parked.
    created_at: Timestamp,
    /// `open`, `replayed` or `discarded`.
    status: String,
    /// What came of its replay, or why it was discarded.
    note: Option<String>,
    /// Who replayed or discarded it.
    settled_by: Option<String>,
    /// The same for letters of one cause: what they can be filtered and replayed by together.
    fingerprint: String,
}

/// One attempt that failed.
#[derive(Debug, Object)]
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
            payload_base64: STANDARD.encode(&row.payload),
            headers: row.headers,
            entity: row.entity,
            controller_id: row.controller_id,
            platform: row.platform,
            created_at: Timestamp::from_ms(row.created_ms),
            status: row.status,
            note: row.note,
            settled_by: row.settled_by,
            fingerprint: row.fingerprint,
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

/// A state to filter by.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "DeadLetterStatus", rename_all = "lowercase")]
enum Status {
    Open,
    Replayed,
    Discarded,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

pub(crate) struct DeadLetters(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::DeadLetters")]
impl DeadLetters {
    /// List dead letters
    ///
    /// Newest first.
    #[oai(path = "/admin/dlq", method = "get", operation_id = "list_dead_letters")]
    #[allow(clippy::too_many_arguments)] // one for each parameter of the query
    async fn list(
        &self,
        _caller: Caller,
        /// Those in this state.
        status: Query<Option<Status>>,
        /// Those with this reason.
        reason: Query<Option<String>>,
        /// Those that were going to this subject, or with a trailing `.*` or `.>` to those that begin so.
        subject: Query<Option<Subject>>,
        /// Those of this platform.
        platform: Query<Option<String>>,
        /// Those of this controller.
        controller_id: Query<Option<String>>,
        /// Those about this, as `session:<id>`.
        entity: Query<Option<String>>,
        /// Those with this fingerprint.
        fingerprint: Query<Option<String>>,
        /// Those parked then (RFC 3339) or later.
        since: Query<Option<DateTime<Utc>>>,
        /// Those parked before then (RFC 3339).
        until: Query<Option<DateTime<Utc>>>,
        /// Items on a page: 1 to 200, 50 unless given.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<DeadLetter>>, Refused<Listing>> {
        let filter = LetterFilter {
            status: status.map(|status| status.name().to_owned()),
            reason: reason.0,
            subject: self::subject(subject.0)?,
            platform: platform.0,
            controller_id: controller_id.0,
            entity: entity.0,
            fingerprint: fingerprint.0,
            since_ms: since.map(|at| at.timestamp_millis()),
            until_ms: until.map(|at| at.timestamp_millis()),
        };
        let wanted = Wanted::<Position>::new("dead letters", &filter, limit.0, cursor.as_deref())?;
        let rows =
            queries::dead_letters(self.0.reader(), &filter, wanted.after, wanted.fetch()).await.map_err(database)?;
        Ok(Json(wanted.page(rows, |row| (row.created_ms, row.id), Into::into)))
    }

    /// Read a dead letter
    #[oai(path = "/admin/dlq/:id", method = "get", operation_id = "get_dead_letter")]
    async fn get(&self, _caller: Caller, id: Path<Uuid>) -> Result<Json<DeadLetter>, Refused<Lookup>> {
        let row = queries::dead_letter(self.0.reader(), id.0).await.map_err(database)?;
        let row = row.ok_or_else(|| Problem::not_found("dead letter", id.0))?;
        Ok(Json(row.into()))
    }

    /// Replay a dead letter
    ///
    /// A failed command becomes a new one, for what is desired now; a message goes back to its subject, byte for byte.
    #[oai(path = "/admin/dlq/:id/replay", method = "post", operation_id = "replay_dead_letter")]
    async fn replay(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<DeadLetter>, Refused<Change>> {
        let row = self.0.replay(id.0, caller.0.name).await?;
        Ok(Json(row.into()))
    }

    /// Discard a dead letter
    ///
    /// It stays as a record, with the reason and who gave it, and is not replayed any more.
    #[oai(path = "/admin/dlq/:id", method = "delete", operation_id = "discard_dead_letter")]
    async fn discard(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Why, in 1 to 500 characters.
        reason: Query<Reason>,
    ) -> Result<Json<DeadLetter>, Refused<Change>> {
        let Reason(reason) = reason.0;
        let count = reason.chars().count();
        if !(1..=500).contains(&count) || reason.contains('\0') || reason.trim().is_empty() {
            let rule = format!("must have 1 to 500 characters and say something, not {count}");
            return Err(Problem::parameter("reason", rule, "say why nobody needs it any more").into());
        }
        let row = self.0.discard(id.0, reason, caller.0.name).await?;
        Ok(Json(row.into()))
    }
}
