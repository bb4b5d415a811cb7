//! What happens when old records go: the row is deleted, and the log says so in the same transaction.

use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::Batch;
use crate::fold::PRUNED;
use crate::store::{dead_letter, event, job};

/// Records whose time is over.
#[derive(Debug, Clone)]
pub enum Records {
    /// Closed letters.
    DeadLetters(Vec<Uuid>),
    /// Jobs that ended.
    Jobs(Vec<Uuid>),
}

impl Records {
    /// Which.
    #[must_use]
    pub fn ids(&self) -> &[Uuid] {
        match self {
            Self::DeadLetters(ids) | Self::Jobs(ids) => ids,
        }
    }
}

impl Batch<'_> {
    /// Takes away what is closed; another engine may have taken some of it before.
    pub(super) fn prune_records(&mut self, records: &Records) {
        for id in records.ids() {
            match records {
                Records::DeadLetters(_) => self.prune_letter(*id),
                Records::Jobs(_) => self.prune_job(*id),
            }
        }
    }

    fn prune_letter(&mut self, id: Uuid) {
        if self.known_letters.get(&id).is_none_or(|row| row.status == "open" || !row.copied) {
            return;
        }
        let Some(row) = self.known_letters.remove(&id) else { return };
        let told = json!({ "dead_letter_id": id, "about": row.entity, "status": row.status, "by": "retention" });
        let [subject, ..] = PRUNED;
        self.pruned(subject, dead_letter::Model::entity(id), row.entity_seq, row.event_id, told);
        self.gone.letters.push(id);
    }

    fn prune_job(&mut self, id: Uuid) {
        if self.jobs.get(&id).is_none_or(|slot| slot.row.finished_ms.is_none()) {
            return;
        }
        let Some(slot) = self.jobs.remove(&id) else { return };
        let told = json!({ "job_id": id, "kind": slot.row.kind, "status": slot.row.status, "by": "retention" });
        let [_, subject, _] = PRUNED;
        self.pruned(subject, job::Model::entity(id), slot.row.entity_seq, None, told);
        self.gone.jobs.push(id);
    }

    fn pruned(&mut self, subject: &str, entity: String, last: i64, about: Option<Uuid>, mut told: Value) {
        told["decision"] = subject.rsplit('.').next().into();
        let mut row = self.log_row(event::Kind::Decision, Uuid::now_v7(), subject.to_owned(), entity);
        row.payload = told.into();
        row.entity_seq = last + 1;
        row.causation_id = about;
        self.log.push(row);
    }

    pub(super) async fn flush_gone(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let gone = std::mem::take(&mut self.gone);
        if !gone.letters.is_empty() {
            let letters = dead_letter::Entity::delete_many().filter(dead_letter::Column::Id.is_in(gone.letters));
            letters.exec(tx).await?;
        }
        if !gone.jobs.is_empty() {
            job::Entity::delete_many().filter(job::Column::JobId.is_in(gone.jobs)).exec(tx).await?;
        }
        Ok(())
    }
}

/// The rows that a batch deletes.
#[derive(Debug, Default)]
pub(super) struct Gone {
    letters: Vec<Uuid>,
    jobs: Vec<Uuid>,
}
