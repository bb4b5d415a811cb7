//! What the engine asks of jobs as a noun.

use sea_orm::{DatabaseTransaction, DbErr};
use uuid::Uuid;

use super::{Column, Entity, Model};
use crate::entities::{Noun, locked};
use crate::writer::{Batch, Job, Needs, Slot};

impl Noun for Entity {
    const NAME: &'static str = "job";
    type Key = Uuid;
    const KEY: Column = Column::JobId;
    const ENTITY_SEQ: Column = Column::EntitySeq;

    fn need(needs: &mut Needs, id: Uuid) {
        needs.jobs.push(id);
    }

    async fn lock(
        batch: &mut Batch<'_>,
        tx: &DatabaseTransaction,
        needs: &mut Needs,
        _jobs: &[Job],
    ) -> Result<(), DbErr> {
        let rows = locked::<Self>(tx, std::mem::take(&mut needs.jobs)).await?;
        batch.jobs = rows.into_iter().map(|row| (row.job_id, Slot::clean(row))).collect();
        Ok(())
    }

    fn row<'b>(batch: &'b mut Batch<'_>, id: &Uuid) -> Option<&'b mut Model> {
        batch.jobs.get_mut(id).map(|slot| &mut slot.row)
    }

    fn repaired(batch: &mut Batch<'_>, id: &Uuid) {
        batch.jobs.get_mut(id).into_iter().for_each(Slot::touch);
    }
}
