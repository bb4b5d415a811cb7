//! The table `event_log`: the truth, and the outbox of commands.

use std::sync::LazyLock;

use machine::turn;
use sea_orm::entity::prelude::*;
use serde::Serialize;

use super::bulk::Insert;
use super::text::{Body, Tree};
use crate::relay::{Flight, HANDED_MS, Pending};

/// What a row is: asked of a controller, said by one, or decided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes out; only commands are ever `pending`.
    Command,
    /// Came in.
    Report,
    /// The engine's own: a timer fired, a place was chosen, a template was written.
    Decision,
}

impl Kind {
    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Report => "report",
            Self::Decision => "decision",
        }
    }

    /// Which way such a row went; with the event's id it is unique.
    #[must_use]
    pub const fn direction(self) -> &'static str {
        match self {
            Self::Command => "out",
            Self::Report => "in",
            Self::Decision => "own",
        }
    }
}

/// A row of the log.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "event_log")]
#[allow(missing_docs)] // the columns are described in the contract and in docs/tables.md
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub event_id: Uuid,
    pub subject: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Tree,
    pub published_at: Option<DateTimeUtc>,
    pub processed_at: Option<DateTimeUtc>,
    pub processed_by: Option<String>,
    pub status: Option<String>,
    pub error_message: Option<String>,
    pub entity: String,
    pub entity_seq: i64,
    pub kind: String,
    pub direction: String,
    pub lane: Option<String>,
    pub generation: i64,
    pub attempt: i32,
    pub controller_id: Option<String>,
    pub causation_id: Option<Uuid>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub changes: Option<Tree>,
    pub traceparent: Option<String>,
    pub stream_epoch: Option<i64>,
    pub stream_seq: Option<i64>,
    pub claimed_until_ms: Option<i64>,
    pub ready: bool,
    pub turn: i64,
    pub created_ms: i64,
    pub processed_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

/// How the note begins on what something newer overtook.
pub(crate) const SUPERSEDED: &str = "superseded";

impl Model {
    /// Bytes of what may be large in it.
    pub(crate) fn weight(&self) -> usize {
        crate::queries::weight(&self.payload) + self.error_message.as_ref().map_or(0, String::len)
    }

    /// Whether something newer overtook it.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.status.as_deref() == Some("completed")
            && self.error_message.as_deref().is_some_and(|note| note.starts_with(SUPERSEDED))
    }
}

/// A row that is about to be written; the database gives it its id.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) event_id: Uuid,
    pub(crate) subject: String,
    pub(crate) payload: Body,
    pub(crate) published_at: Option<DateTimeUtc>,
    pub(crate) processed_at: Option<DateTimeUtc>,
    pub(crate) processed_by: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) error_message: Option<String>,
    pub(crate) entity: String,
    pub(crate) entity_seq: i64,
    pub(crate) kind: Kind,
    pub(crate) lane: Option<&'static str>,
    pub(crate) generation: i64,
    pub(crate) attempt: i32,
    pub(crate) controller_id: Option<String>,
    pub(crate) causation_id: Option<Uuid>,
    pub(crate) changes: Option<Body>,
    pub(crate) traceparent: Option<String>,
    pub(crate) stream_epoch: Option<i64>,
    pub(crate) stream_seq: Option<i64>,
    pub(crate) claimed_until_ms: Option<i64>,
    pub(crate) ready: bool,
    pub(crate) turn: i64,
    pub(crate) created_ms: i64,
    pub(crate) processed_ms: Option<i64>,
}

/// The log gives each row its id.
pub(crate) static INSERT: LazyLock<Insert> = LazyLock::new(|| Insert::of::<Entity>("event_log", &["id"]));

impl Row {
    /// Complete but for what the caller sets: a command is pending, all else is done with as it is written.
    pub(crate) fn new(now_ms: i64, kind: Kind, event_id: Uuid, subject: String, entity: String) -> Self {
        let command = kind == Kind::Command;
        let done_at = (!command).then(|| chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default());
        Self {
            event_id,
            subject,
            payload: Body::default(),
            published_at: done_at,
            processed_at: done_at,
            processed_by: (!command).then(|| "engine".to_owned()),
            status: if command { "pending" } else { "completed" },
            error_message: None,
            entity,
            entity_seq: 0,
            kind,
            lane: None,
            generation: 0,
            attempt: 0,
            controller_id: None,
            causation_id: None,
            changes: None,
            traceparent: None,
            stream_epoch: None,
            stream_seq: None,
            claimed_until_ms: None,
            ready: true,
            turn: 0,
            created_ms: now_ms,
            processed_ms: (!command).then_some(now_ms),
        }
    }

    /// The same for the relay, with its controller, where it may go at once; nobody else takes it for a while then.
    pub(crate) fn hand(&mut self, flight: &Flight, now_ms: i64) -> Option<(String, Pending)> {
        let controller_id = self.controller_id.clone().filter(|_| self.ready && self.lane.is_some())?;
        let ends = self.turn < turn::urgent_below(now_ms);
        if !flight.admits(&controller_id, ends) {
            return None; // and nothing of it was copied: there may be many
        }
        let payload = self.payload.text()?;
        self.claimed_until_ms = Some(now_ms + HANDED_MS);
        let command = Pending {
            event_id: self.event_id,
            entity: self.entity.clone(),
            subject: self.subject.clone(),
            payload,
            attempt: self.attempt,
            lane: self.lane.map(str::to_owned),
            traceparent: self.traceparent.clone(),
        };
        Some((controller_id, command))
    }

    /// Its values, in the order of [`INSERT`]'s columns.
    pub(crate) fn values(self) -> Vec<sea_orm::Value> {
        vec![
            self.event_id.into(),
            self.subject.into(),
            self.payload.into_text().into(),
            self.published_at.into(),
            self.processed_at.into(),
            self.processed_by.into(),
            self.status.into(),
            self.error_message.into(),
            self.entity.into(),
            self.entity_seq.into(),
            self.kind.as_str().into(),
            self.kind.direction().into(),
            self.lane.into(),
            self.generation.into(),
            self.attempt.into(),
            self.controller_id.into(),
            self.causation_id.into(),
            self.changes.map(Body::into_text).into(),
            self.traceparent.into(),
            self.stream_epoch.into(),
            self.stream_seq.into(),
            self.claimed_until_ms.into(),
            self.ready.into(),
            self.turn.into(),
            self.created_ms.into(),
            self.processed_ms.into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_row_has_a_value_for_each_column_that_the_database_does_not_fill() {
        let row = Row::new(0, Kind::Command, Uuid::nil(), "subject".into(), "entity".into());
        assert_eq!(row.values().len(), INSERT.columns().len());
        let [first, .., last] = INSERT.columns() else { panic!("columns") };
        assert_eq!((*first, *last), ("event_id", "processed_ms"));
    }
}
