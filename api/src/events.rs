//! The log of a session: every command, report and decision, in the order in which they made it what it is.

use std::sync::Arc;

use engine::store::{event, session};
use engine::{Engine, queries};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Caller;
use crate::cursor::{Page, Wanted};
use crate::document::Tag;
use crate::problem::{Lookup, Problem, Refused, database};
use crate::timestamp::Timestamp;

/// A row of the log.
#[derive(Debug, Object)]
pub(crate) struct Event {
    /// Identity of the event; a command and the decision about it may share one.
    event_id: Uuid,
    /// Position in the log of everything.
    id: i64,
    /// What it is about, as `session:<id>`.
    entity: String,
    /// Position in the log of that, from 1.
    entity_seq: i64,
    /// `command`, `report` or `decision`.
    kind: String,
    /// Where it was said.
    subject: String,
    /// `out`, `in` or `own`.
    direction: String,
    /// How far it got: `pending`, `published`, `completed`, `failed`, ...
    status: Option<String>,
    /// The generation that it belongs to.
    generation: i64,
    /// Which attempt.
    attempt: i32,
    /// To whom, or by whom.
    controller_id: Option<String>,
    /// The command that it answers.
    causation_id: Option<Uuid>,
    /// What was said.
    payload: Value,
    /// What it changed.
    changes: Option<Value>,
    /// Why it failed.
    error_message: Option<String>,
    /// The trace that it belongs to.
    trace_id: Option<String>,
    /// When it was written.
    at: Timestamp,
    /// When it ended.
    processed_at: Option<Timestamp>,
    /// Who ended it.
    processed_by: Option<String>,
}

impl From<event::Model> for Event {
    fn from(row: event::Model) -> Self {
        let trace_id = row.traceparent.as_deref().and_then(streams::trace::trace_id).map(str::to_owned);
        Self {
            event_id: row.event_id,
            id: row.id,
            entity: row.entity,
            entity_seq: row.entity_seq,
            kind: row.kind,
            subject: row.subject,
            direction: row.direction,
            status: row.status,
            generation: row.generation,
            attempt: row.attempt,
            controller_id: row.controller_id,
            causation_id: row.causation_id,
            payload: row.payload,
            changes: row.changes,
            error_message: row.error_message,
            trace_id,
            at: Timestamp::from_ms(row.created_ms),
            processed_at: row.processed_at.map(Into::into).or(row.processed_ms.map(Timestamp::from_ms)),
            processed_by: row.processed_by,
        }
    }
}

pub(crate) struct Events(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Sessions")]
impl Events {
    /// Read the log of a session
    ///
    /// Oldest first; the last page's rows are followed by newer ones as they happen.
    #[oai(path = "/sessions/:id/events", method = "get", operation_id = "list_session_events")]
    async fn list(
        &self,
        _caller: Caller,
        id: Path<Uuid>,
        /// Items on a page: 1 to 200, 50 unless given.
        limit: Query<Option<u32>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Event>>, Refused<Lookup>> {
        let wanted = Wanted::<i64>::new("events", &id.0, limit.0, cursor.as_deref())?;
        let (reader, entity) = (self.0.reader(), session::Model::entity(id.0));
        let rows =
            queries::events(reader, &entity, wanted.after.unwrap_or(0), wanted.fetch()).await.map_err(database)?;
        if rows.is_empty() && queries::session(reader, id.0).await.map_err(database)?.is_none() {
            return Err(Problem::not_found("session", id.0).into());
        }
        Ok(Json(wanted.page(rows, |row| row.entity_seq, Into::into)))
    }
}
