//! What the engine asks of controllers as a noun.

use sea_orm::{DatabaseTransaction, DbErr};

use super::{Column, Entity, Model};
use crate::entities::Noun;
use crate::writer::{Batch, Job, Needs, Slot};

impl Noun for Entity {
    const NAME: &'static str = "controller";
    type Key = String;
    const KEY: Column = Column::ControllerId;
    const ENTITY_SEQ: Column = Column::EntitySeq;
    const FIXED: &'static [Column] = &[Column::Id, Column::CreatedAt];

    fn need(needs: &mut Needs, id: String) {
        needs.controllers.push(id);
    }

    async fn lock(
        batch: &mut Batch<'_>,
        tx: &DatabaseTransaction,
        needs: &mut Needs,
        jobs: &[Job],
    ) -> Result<(), DbErr> {
        batch.lock_needed_controllers(tx, needs, jobs).await
    }

    fn row<'b>(batch: &'b mut Batch<'_>, id: &String) -> Option<&'b mut Model> {
        batch.controllers.get_mut(id).map(|slot| &mut slot.row)
    }

    fn repaired(batch: &mut Batch<'_>, id: &String) {
        batch.controllers.get_mut(id).into_iter().for_each(Slot::touch);
    }
}
