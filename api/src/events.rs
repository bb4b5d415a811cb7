//! The log of commands, reports and decisions: of a session in order, of everything newest first, and single
//! events with their outcome.

use std::sync::Arc;

use engine::Engine;
use engine::attempts::Tried;
use engine::events::EventFilter;
use engine::store::event;
use engine::use_cases::Story;
use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Caller;
use crate::cursor::{Limit, Page, Wanted, subject};
use crate::document::Tag;
use crate::json::Json;
use crate::moment::Moment;
use crate::param_types::Subject;
use crate::problem::{Listing, Lookup, Refused};
use crate::timestamp::Timestamp;

/// A row of the log.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Event {
    /// Identity of the event; a command and the decision about it may share one.
    event_id: Uuid,
    /// Position in the whole log.
    id: i64,
    /// The entity it is about, such as `session:<id>`.
    entity: String,
    /// Position in the entity's log, from 1.
    entity_seq: i64,
    /// `command`, `report` or `decision`.
    kind: String,
    /// Subject.
    subject: String,
    /// `out`, `in` or `own`.
    direction: String,
    /// Progress: `pending`, `published`, `completed`, `failed`, ...
    status: Option<String>,
    /// The generation that it belongs to.
    generation: i64,
    /// Number of the attempt.
    attempt: i32,
    /// Controller that it was sent to, or came from.
    controller_id: Option<String>,
    /// The command that it answers.
    causation_id: Option<Uuid>,
    /// Payload.
    payload: Value,
    /// Columns that it changed.
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
            payload: row.payload.into(),
            changes: row.changes.map(Value::from),
            error_message: row.error_message,
            trace_id,
            at: Timestamp::from_ms(row.created_ms),
            processed_at: row.processed_at.map(Into::into).or(row.processed_ms.map(Timestamp::from_ms)),
            processed_by: row.processed_by,
        }
    }
}

/// An event with its outcome.
#[derive(Debug, Object, Serialize)]
struct EventStory {
    #[oai(flatten)]
    #[serde(flatten)]
    event: Event,
    /// For a command: its attempts.
    attempts: Vec<EventAttempt>,
    /// The reports that it caused, in order of arrival; the first 200.
    reports: Vec<Event>,
}

/// An attempt of a command.
#[derive(Debug, Object, Serialize)]
struct EventAttempt {
    /// Number, from 1.
    attempt: i64,
    /// Time of its last report.
    at: Timestamp,
    /// The last reported state, `failed`, or the progress of the command.
    outcome: String,
    /// Why it failed.
    error: Option<String>,
    /// Controller that made it.
    controller_id: Option<String>,
}

impl From<Tried> for EventAttempt {
    fn from(tried: Tried) -> Self {
        let (attempt, at) = (tried.attempt, Timestamp::from_ms(tried.at_ms));
        Self { attempt, at, outcome: tried.outcome, error: tried.error, controller_id: tried.controller_id }
    }
}

/// Kind to filter by.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "EventKind", rename_all = "lowercase")]
enum Kind {
    Command,
    Report,
    Decision,
}

/// State to filter by.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "EventStatus", rename_all = "lowercase")]
enum Status {
    Pending,
    Published,
    Processing,
    Completed,
    Failed,
}

pub(crate) struct Events(pub(crate) Arc<Engine>);

#[OpenApi]
impl Events {
    /// Read the log of a session
    ///
    /// Oldest first; newer rows appear after the last page as they happen.
    #[oai(path = "/sessions/:id/events", method = "get", operation_id = "list_session_events", tag = "Tag::Sessions")]
    async fn list(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Event>>, Refused<Lookup>> {
        let wanted = Wanted::<i64>::new("events", &id.0, limit.0, cursor.as_deref())?;
        let after = wanted.after.unwrap_or(0);
        let rows = caller.on(&self.0).session_events(id.0, after, wanted.fetch()).await?;
        Ok(Json(wanted.page(rows, |row| row.entity_seq, Into::into)))
    }

    /// List events
    ///
    /// The whole log, newest first.
    #[oai(path = "/events", method = "get", operation_id = "list_events", tag = "Tag::Events")]
    #[allow(clippy::too_many_arguments)] // one for each parameter of the query
    async fn all(
        &self,
        caller: Caller,
        /// Filter by subject; a trailing `.*` (one token) or `.>` (one or more) matches all that begin so.
        subject: Query<Option<Subject>>,
        /// Filter by kind.
        kind: Query<Option<Kind>>,
        /// Filter by state.
        status: Query<Option<Status>>,
        /// Filter by entity, such as `session:<id>`.
        entity: Query<Option<String>>,
        /// Events at or after this time: RFC 3339, a date, or an age such as `10m`.
        since: Query<Option<Moment>>,
        /// Events before this time, in the same formats.
        until: Query<Option<Moment>>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Event>>, Refused<Listing>> {
        let filter = EventFilter {
            subject: self::subject(subject.0)?,
            kind: kind.map(|kind| format!("{kind:?}").to_lowercase()),
            status: status.map(|status| format!("{status:?}").to_lowercase()),
            entity: entity.0,
            since_ms: since.map(Moment::ms),
            until_ms: until.map(Moment::ms),
        };
        let (since_ms, until_ms) = (since.map(Moment::name), until.map(Moment::name));
        let named = EventFilter { since_ms, until_ms, ..filter.clone() };
        let wanted = Wanted::<i64>::new("all events", &named, limit.0, cursor.as_deref())?;
        let rows = caller.on(&self.0).list_events(&filter, wanted.after, wanted.fetch()).await?;
        Ok(Json(wanted.page(rows, |row| row.id, Into::into)))
    }

    /// Read an event
    ///
    /// With its attempts, and the reports that it caused.
    #[oai(path = "/events/:event_id", method = "get", operation_id = "get_event", tag = "Tag::Events")]
    async fn get(&self, caller: Caller, event_id: Path<Uuid>) -> Result<Json<EventStory>, Refused<Lookup>> {
        let Story { event, attempts, reports } = caller.on(&self.0).event(event_id.0).await?;
        Ok(Json(EventStory {
            event: event.into(),
            attempts: attempts.into_iter().map(Into::into).collect(),
            reports: reports.into_iter().map(Into::into).collect(),
        }))
    }
}
