//! What the engine asks of templates as a noun.

use sea_orm::{DatabaseTransaction, DbErr};

use super::{Column, Entity, Model};
use crate::entities::Noun;
use crate::writer::{Batch, Job, Needs, Slot};

impl Noun for Entity {
    const NAME: &'static str = "template";
    type Key = String;
    const KEY: Column = Column::Name;
    const ENTITY_SEQ: Column = Column::EntitySeq;

    fn need(needs: &mut Needs, name: String) {
        needs.templates.push(name);
    }

    /// They are read and not locked: their rows are few, and each transaction that writes one replaces it as a whole.
    async fn lock(
        batch: &mut Batch<'_>,
        tx: &DatabaseTransaction,
        needs: &mut Needs,
        _jobs: &[Job],
    ) -> Result<(), DbErr> {
        batch.load_templates(tx, needs).await
    }

    fn row<'b>(batch: &'b mut Batch<'_>, name: &String) -> Option<&'b mut Model> {
        batch.templates.get_mut(name).map(|slot| &mut slot.row)
    }

    fn repaired(batch: &mut Batch<'_>, name: &String) {
        batch.templates.get_mut(name).into_iter().for_each(Slot::touch);
    }
}
