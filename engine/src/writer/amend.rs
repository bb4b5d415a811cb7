//! What happens when a session is amended: its tags, its metadata, and how long it may be idle change, and nothing of its life.
//!
//! An amendment leaves the generation alone, so that the open command stays what it is. `amended_seq` says where in the log
//! the last one stands: whoever read the session before it is told so when he asks for something on condition.

use machine::command::DecisionKind;
use machine::session::{Effect, Event, decide};
use sea_orm::{DatabaseTransaction, DbErr};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::batch::{Batch, Slot};
use super::work::{Done, Stands};
use super::{Error, session::missing};
use crate::amendment::{Amendment, merge};
use crate::entities::session;
use crate::request::Invalid;

impl Batch<'_> {
    pub(super) fn amend(&mut self, id: Uuid, change: &Amendment, trace: Option<&str>) -> Result<Done, Error> {
        let (before, row) = (self.facts(id)?, &self.slot(id)?.row);
        let tags = change.tags.as_ref().map_or_else(|| row.tags.clone(), |tags| json!(tags));
        let metadata = merge(&row.metadata, change.metadata.as_ref()).map_err(|one| Invalid(vec![one]))?;
        let idle_timeout_s = change.idle_timeout_s.unwrap_or(row.idle_timeout_s);
        let mut noted = Map::new();
        if tags != row.tags {
            noted.insert("tags".into(), tags.clone());
        }
        if metadata != row.metadata {
            noted.insert("metadata".into(), metadata.clone());
        }
        let context = self.context(before.command.controller_id.as_deref(), Uuid::now_v7());
        let mut decision = decide(&before, &Event::Amend { idle_timeout_s }, &context)?;
        if noted.is_empty() && idle_timeout_s == before.idle_timeout_s {
            return self.session(id); // it holds already
        }
        decision.effects.push(Effect::Decide(DecisionKind::Amended));
        self.record(id, Some(&before), decision, Vec::new(), trace)?;
        let slot = self.sessions.get_mut(&id).ok_or_else(|| missing(id))?;
        (slot.row.tags, slot.row.metadata, slot.row.amended_seq) = (tags, metadata, slot.row.entity_seq);
        noted.insert("amended_seq".into(), json!(slot.row.entity_seq));
        self.note(noted);
        self.amended.insert(id);
        self.session(id)
    }

    /// Adds what the machine knows nothing of to what the newest row of the log changed.
    pub(super) fn note(&mut self, columns: Map<String, Value>) {
        if let Some(row) = self.log.last_mut() {
            let changes = row.changes.get_or_insert_with(|| json!({}).into());
            changes.change(|changes| {
                if let Some(changes) = changes.as_object_mut() {
                    changes.extend(columns);
                }
            });
        }
    }

    /// Refuses where the session has moved on from where the asker believes it to stand.
    pub(super) fn check(&self, id: Uuid, stands: &Stands) -> Result<(), Error> {
        let row = &self.slot(id)?.row;
        let (generation, revision) = (row.generation, row.entity_seq);
        if stands.holds(row) { Ok(()) } else { Err(Error::Moved { generation, revision }) }
    }

    pub(super) async fn flush_amended(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let ids = std::mem::take(&mut self.amended);
        let rows = ids.iter().filter_map(|id| self.sessions.get(id)).map(|Slot { row, .. }| {
            vec![row.session_id.into(), row.tags.clone().into(), row.metadata.clone().into(), row.amended_seq.into()]
        });
        session::AMEND.run(tx, rows.collect()).await.map(drop)
    }
}
