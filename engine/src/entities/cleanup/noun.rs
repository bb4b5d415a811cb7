//! What the engine asks of pending clean-ups as a noun, and of their open commands.

use sea_orm::{DatabaseTransaction, DbErr};
use uuid::Uuid;

use super::{Column, Entity, Model};
use crate::entities::Noun;
use crate::entities::commanded::{Commanded, Nudge, same_columns};
use crate::writer::{Batch, Job, Needs, Slot, Work};

impl Noun for Entity {
    const NAME: &'static str = "debt";
    type Key = Uuid;
    const KEY: Column = Column::DebtId;
    const ENTITY_SEQ: Column = Column::EntitySeq;

    fn need(needs: &mut Needs, id: Uuid) {
        needs.debts.push(id);
    }

    async fn lock(
        batch: &mut Batch<'_>,
        tx: &DatabaseTransaction,
        needs: &mut Needs,
        jobs: &[Job],
    ) -> Result<(), DbErr> {
        batch.load_debts(tx, jobs, std::mem::take(&mut needs.debts)).await
    }

    fn row<'b>(batch: &'b mut Batch<'_>, id: &Uuid) -> Option<&'b mut Model> {
        batch.debts.get_mut(id).map(|slot| &mut slot.row)
    }

    fn derive(row: &mut Model, now_ms: i64) {
        let Ok(mut facts) = row.facts() else { return };
        facts.command.watch(now_ms);
        row.assume(facts, now_ms);
    }

    fn repaired(batch: &mut Batch<'_>, id: &Uuid) {
        batch.debts.get_mut(id).into_iter().for_each(Slot::touch);
    }
}

impl Commanded for Entity {
    const USER_ID: Self::Column = Column::UserId;
    same_columns!();
    const AWAITS_ROOM: &'static str = "1 = 0";
    /// A debt is its owner's, and its delete goes there also while that takes no work.
    const UNPLACED: &'static str = "1 = 0";
    const DOMAIN: &'static str = "sessions";

    fn work(id: Uuid, nudge: Nudge) -> Work {
        use machine::debt::Event;
        let event = match nudge {
            Nudge::Place | Nudge::OwnerReady => Event::OwnerReady,
            Nudge::Tick => Event::Tick,
            Nudge::Deadline { held } => Event::Deadline { held },
            Nudge::Lost => Event::Lost,
        };
        Work::Debt(id, event)
    }
}
