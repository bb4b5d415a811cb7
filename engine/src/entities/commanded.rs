//! What timers, placement, the stream supervisor and event tracing know about a table whose rows have an open command, so that
//! they treat sessions, applications and pending clean-ups alike.

use uuid::Uuid;

use super::Noun;
use crate::writer::Work;

/// What the engine itself tells the open command of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Nudge {
    Place,
    Tick,
    Deadline { held: bool },
    OwnerReady,
    Lost,
}

/// An array of what an expression gives for each of these tables. Whoever means all of them goes over this, and names none.
macro_rules! each {
    ($table:ident => $of:expr) => {
        [
            {
                type $table = $crate::entities::session::Entity;
                $of
            },
            {
                type $table = $crate::entities::application::Entity;
                $of
            },
            {
                type $table = $crate::entities::cleanup::Entity;
                $of
            },
        ]
    };
}
pub(crate) use each;

/// The columns of an open command, which are called alike in every such table.
macro_rules! same_columns {
    () => {
        const PLATFORM: Self::Column = Column::Platform;
        const CONTROLLER_ID: Self::Column = Column::ControllerId;
        const LANE: Self::Column = Column::Lane;
        const COMMAND_ID: Self::Column = Column::CommandId;
        const REASON: Self::Column = Column::Reason;
        const FAILURES: Self::Column = Column::Failures;
        const NEXT_ATTEMPT_MS: Self::Column = Column::NextAttemptMs;
        const DEADLINE_MS: Self::Column = Column::DeadlineMs;
        const WAKE_MS: Self::Column = Column::WakeMs;
        const CREATED_MS: Self::Column = Column::CreatedMs;
    };
}
pub(crate) use same_columns;

/// Such a table.
pub(crate) trait Commanded: Noun<Key = Uuid> {
    const USER_ID: Self::Column;
    const PLATFORM: Self::Column;
    const CONTROLLER_ID: Self::Column;
    const LANE: Self::Column;
    const COMMAND_ID: Self::Column;
    const REASON: Self::Column;
    const FAILURES: Self::Column;
    const NEXT_ATTEMPT_MS: Self::Column;
    const DEADLINE_MS: Self::Column;
    const WAKE_MS: Self::Column;
    const CREATED_MS: Self::Column;
    /// What waits for room on its owner, in SQL, where its row is `c`.
    const AWAITS_ROOM: &'static str;
    /// What waits for a place, in SQL besides its platform; literally as in a partial index, so that SQLite uses that.
    const UNPLACED: &'static str;
    /// The capability that their controllers have.
    const DOMAIN: &'static str;

    fn work(id: Uuid, nudge: Nudge) -> Work;

    /// The name of one in `event_log.entity`.
    fn entity(id: Uuid) -> String {
        format!("{}:{id}", Self::NAME)
    }

    /// Which one an entity of `event_log` is, if it is one of these.
    fn named(entity: &str) -> Option<Uuid> {
        entity.strip_prefix(Self::NAME)?.strip_prefix(':')?.parse().ok()
    }
}
