//! The table `event_log`: the truth, and the outbox of commands.

use sea_orm::entity::prelude::*;
use serde::Serialize;

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
#[allow(missing_docs)] // the columns are described in the contract and in ARCHITECTURE.md
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub event_id: Uuid,
    pub subject: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
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
    pub changes: Option<Json>,
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
    /// Whether something newer overtook it.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.status.as_deref() == Some("completed")
            && self.error_message.as_deref().is_some_and(|note| note.starts_with(SUPERSEDED))
    }
}
