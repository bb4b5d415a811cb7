//! What the engine asks of sessions as a noun, and of their open commands.

use sea_orm::sea_query::Expr;
use sea_orm::{DatabaseTransaction, DbBackend, DbErr, EntityTrait as _, Iterable as _, QuerySelect as _, Select};
use uuid::Uuid;

use super::{Column, Entity, Model};
use crate::entities::commanded::{Commanded, Nudge, same_columns};
use crate::entities::{Noun, locked};
use crate::store::bulk::padded;
use crate::writer::{Batch, Job, Needs, Slot, Work};

impl Noun for Entity {
    const NAME: &'static str = "session";
    type Key = Uuid;
    const KEY: Column = Column::SessionId;
    const ENTITY_SEQ: Column = Column::EntitySeq;
    /// Tags and metadata have an update of their own, since only amendments change them.
    const FIXED: &'static [Column] = &[
        Column::UserId,
        Column::TemplateId,
        Column::Template,
        Column::Platform,
        Column::Resources,
        Column::Selector,
        Column::PersistentHome,
        Column::MaxDurationS,
        Column::Tags,
        Column::Metadata,
        Column::AmendedSeq,
        Column::CreatedMs,
    ];

    /// Without their templates, which are no facts of theirs and bigger than the rest of them.
    fn compared(backend: DbBackend) -> Select<Self> {
        let nothing = if backend == DbBackend::Postgres { "'null'::jsonb" } else { "'null'" };
        let columns = Column::iter().filter(|column| !matches!(column, Column::Template));
        Self::find().select_only().columns(columns).expr_as(Expr::cust(nothing), "template")
    }

    fn need(needs: &mut Needs, id: Uuid) {
        needs.sessions.push(id);
    }

    async fn lock(
        batch: &mut Batch<'_>,
        tx: &DatabaseTransaction,
        needs: &mut Needs,
        _jobs: &[Job],
    ) -> Result<(), DbErr> {
        let rows = locked::<Self>(tx, padded(std::mem::take(&mut needs.sessions))).await?;
        batch.sessions = rows.into_iter().map(|row| (row.session_id, Slot::clean(row))).collect();
        Ok(())
    }

    fn row<'b>(batch: &'b mut Batch<'_>, id: &Uuid) -> Option<&'b mut Model> {
        batch.sessions.get_mut(id).map(|slot| &mut slot.row)
    }

    fn derive(row: &mut Model, now_ms: i64) {
        let Ok(mut facts) = row.facts() else { return }; // then they are left as they are
        facts.command.watch(now_ms);
        facts.idle_ms = machine::session::due(&facts);
        row.assume(facts, now_ms);
    }

    fn repaired(batch: &mut Batch<'_>, id: &Uuid) {
        batch.sessions.get_mut(id).into_iter().for_each(Slot::touch);
        batch.repaired.insert(*id);
    }
}

impl Commanded for Entity {
    const USER_ID: Self::Column = Column::UserId;
    same_columns!();
    const AWAITS_ROOM: &'static str = "c.desired = 'running' AND c.has_room = FALSE";
    const UNPLACED: &'static str = "controller_id IS NULL AND status <> 'deleted' AND status NOT IN ('deleting', 'failed') AND command_id IS NOT NULL";
    const DOMAIN: &'static str = "sessions";

    fn work(id: Uuid, nudge: Nudge) -> Work {
        use machine::session::Event;
        match nudge {
            Nudge::Place => Work::Place(id),
            Nudge::Tick => Work::Happened(id, Event::Tick),
            Nudge::Deadline { held } => Work::Happened(id, Event::Deadline { held }),
            Nudge::OwnerReady => Work::Happened(id, Event::OwnerReady),
            Nudge::Lost => Work::Happened(id, Event::Lost),
        }
    }
}
