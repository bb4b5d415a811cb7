//! What the engine asks of dead letters as a noun.

use sea_orm::{DatabaseTransaction, DbErr};
use uuid::Uuid;

use super::{Column, Entity, Model};
use crate::entities::{Noun, locked};
use crate::writer::{Batch, Job, Needs};

impl Noun for Entity {
    const NAME: &'static str = "dead_letter";
    type Key = Uuid;
    const KEY: Column = Column::Id;
    const ENTITY_SEQ: Column = Column::EntitySeq;
    const LOGGED_FROM_BIRTH: bool = false;

    fn need(needs: &mut Needs, id: Uuid) {
        needs.letters.push(id);
    }

    async fn lock(
        batch: &mut Batch<'_>,
        tx: &DatabaseTransaction,
        needs: &mut Needs,
        _jobs: &[Job],
    ) -> Result<(), DbErr> {
        let rows = locked::<Self>(tx, std::mem::take(&mut needs.letters)).await?;
        batch.known_letters = rows.into_iter().map(|row| (row.id, row)).collect();
        Ok(())
    }

    fn row<'b>(batch: &'b mut Batch<'_>, id: &Uuid) -> Option<&'b mut Model> {
        batch.known_letters.get_mut(id)
    }

    fn repaired(batch: &mut Batch<'_>, id: &Uuid) {
        if let Some(row) = batch.known_letters.get(id).cloned() {
            batch.settle_as_is(&row);
        }
    }
}
