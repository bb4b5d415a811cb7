//! What the engine asks of applications as a noun, and of their open commands.

use sea_orm::{DatabaseTransaction, DbErr};
use uuid::Uuid;

use super::{Column, Entity, Model};
use crate::entities::Noun;
use crate::entities::commanded::{Commanded, Nudge, same_columns};
use crate::writer::{ApplicationWork, Batch, Job, Needs, Slot, Work};

impl Noun for Entity {
    const NAME: &'static str = "application";
    type Key = Uuid;
    const KEY: Column = Column::InstallId;
    const ENTITY_SEQ: Column = Column::EntitySeq;

    fn need(needs: &mut Needs, id: Uuid) {
        needs.application(id);
    }

    async fn lock(
        batch: &mut Batch<'_>,
        tx: &DatabaseTransaction,
        needs: &mut Needs,
        _jobs: &[Job],
    ) -> Result<(), DbErr> {
        batch.lock_applications(tx, needs).await
    }

    fn row<'b>(batch: &'b mut Batch<'_>, id: &Uuid) -> Option<&'b mut Model> {
        batch.applications.get_mut(id).map(|slot| &mut slot.row)
    }

    fn derive(row: &mut Model, now_ms: i64) {
        let Ok(mut facts) = row.facts() else { return };
        facts.command.watch(now_ms);
        row.assume(facts, now_ms);
    }

    fn repaired(batch: &mut Batch<'_>, id: &Uuid) {
        batch.applications.get_mut(id).into_iter().for_each(Slot::touch);
    }
}

impl Commanded for Entity {
    const USER_ID: Self::Column = Column::InstalledBy;
    same_columns!();
    const AWAITS_ROOM: &'static str = "1 = 0";
    const UNPLACED: &'static str = "controller_id IS NULL AND install_status <> 'uninstalled'";
    const DOMAIN: &'static str = "applications";

    fn work(id: Uuid, nudge: Nudge) -> Work {
        use machine::application::Event;
        let work = match nudge {
            Nudge::Place => ApplicationWork::Place(id),
            Nudge::Tick => ApplicationWork::Happened(id, Event::Tick),
            Nudge::Deadline { held } => ApplicationWork::Happened(id, Event::Deadline { held }),
            Nudge::OwnerReady => ApplicationWork::Happened(id, Event::OwnerReady),
            Nudge::Lost => ApplicationWork::Happened(id, Event::Lost),
        };
        work.into()
    }
}
