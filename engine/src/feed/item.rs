//! A row of the log as watchers see it.

use std::sync::OnceLock;

use sea_orm::FromQueryResult;
use serde_json::Value;
use uuid::Uuid;

use super::owners::Owner;
use super::position::Position;
use crate::store::text::Tree;

/// A row as it was when it was read. Only `status` can move on: a command's end is a row of its own.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are those of `event_log`
pub struct Item {
    pub position: Position,
    pub event_id: Uuid,
    pub subject: String,
    pub kind: String,
    pub entity: String,
    pub entity_seq: i64,
    pub generation: i64,
    pub status: Option<String>,
    pub at_ms: i64,
    pub user_id: Option<String>,
    pub platform: Option<String>,
    pub changes: Option<Value>,
    pub payload: Value,
    text: OnceLock<String>,
}

impl Item {
    /// Its text, which is made once for all watchers.
    pub fn text(&self, make: impl FnOnce(&Self) -> String) -> &str {
        self.text.get_or_init(|| make(self))
    }
}

/// What is read of a row.
#[derive(Debug, FromQueryResult)]
pub(super) struct Row {
    xact: i64,
    id: i64,
    pub(super) settled: bool,
    event_id: Uuid,
    subject: String,
    kind: String,
    pub(super) entity: String,
    entity_seq: i64,
    generation: i64,
    status: Option<String>,
    pub(super) created_ms: i64,
    changes: Option<Tree>,
    payload: Tree,
}

/// The columns of [`Row`] that are the same on both databases.
pub(super) const COLUMNS: &str =
    "id, event_id, subject, kind, entity, entity_seq, generation, status, created_ms, changes, payload";

impl Row {
    pub(super) fn position(&self) -> Position {
        Position::of(self.xact, self.id, self.event_id)
    }

    pub(super) fn into_item(self, owner: Option<Owner>) -> Item {
        let (user_id, platform) = owner.map_or((None, None), |owner| (owner.user_id, owner.platform));
        Item {
            position: self.position(),
            event_id: self.event_id,
            subject: self.subject,
            kind: self.kind,
            entity: self.entity,
            entity_seq: self.entity_seq,
            generation: self.generation,
            status: self.status,
            at_ms: self.created_ms,
            user_id,
            platform,
            changes: self.changes.map(Value::from),
            payload: self.payload.into(),
            text: OnceLock::new(),
        }
    }
}
