//! What timers, placement, the courier, and all who ask what became of a command must know of a table whose rows have an open
//! command, so that they look after sessions, applications and debts alike.

use sea_orm::EntityTrait;
use uuid::Uuid;

use super::{application, debt, session};
use crate::writer::{ApplicationWork, Done, Work};

/// What the engine itself has to say to one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
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
                type $table = $crate::store::session::Entity;
                $of
            },
            {
                type $table = $crate::store::application::Entity;
                $of
            },
            {
                type $table = $crate::store::debt::Entity;
                $of
            },
        ]
    };
}
pub(crate) use each;

/// Such a table.
pub(crate) trait Commanded: EntityTrait {
    /// What their entities in `event_log` begin with.
    const NOUN: &'static str;
    const ID: Self::Column;
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

    fn work(id: Uuid, word: Word) -> Work;

    /// The name of one in `event_log.entity`.
    fn entity(id: Uuid) -> String {
        format!("{}:{id}", Self::NOUN)
    }

    /// Which one an entity of `event_log` is, if it is one of these.
    fn named(entity: &str) -> Option<Uuid> {
        entity.strip_prefix(Self::NOUN)?.strip_prefix(':')?.parse().ok()
    }
}

impl Commanded for session::Entity {
    const NOUN: &'static str = "session";
    const ID: Self::Column = session::Column::SessionId;
    const USER_ID: Self::Column = session::Column::UserId;
    const PLATFORM: Self::Column = session::Column::Platform;
    const CONTROLLER_ID: Self::Column = session::Column::ControllerId;
    const LANE: Self::Column = session::Column::Lane;
    const COMMAND_ID: Self::Column = session::Column::CommandId;
    const REASON: Self::Column = session::Column::Reason;
    const FAILURES: Self::Column = session::Column::Failures;
    const NEXT_ATTEMPT_MS: Self::Column = session::Column::NextAttemptMs;
    const DEADLINE_MS: Self::Column = session::Column::DeadlineMs;
    const WAKE_MS: Self::Column = session::Column::WakeMs;
    const CREATED_MS: Self::Column = session::Column::CreatedMs;
    const AWAITS_ROOM: &'static str = "c.desired = 'running' AND c.has_room = FALSE";
    const UNPLACED: &'static str = "controller_id IS NULL AND status <> 'deleted' AND status NOT IN ('deleting', 'failed') AND command_id IS NOT NULL";
    const DOMAIN: &'static str = "sessions";

    fn work(id: Uuid, word: Word) -> Work {
        use machine::session::Event;
        match word {
            Word::Place => Work::Place(id),
            Word::Tick => Work::Happened(id, Event::Tick),
            Word::Deadline { held } => Work::Happened(id, Event::Deadline { held }),
            Word::OwnerReady => Work::Happened(id, Event::OwnerReady),
            Word::Lost => Work::Happened(id, Event::Lost),
        }
    }
}

impl Commanded for application::Entity {
    const NOUN: &'static str = "application";
    const ID: Self::Column = application::Column::InstallId;
    const USER_ID: Self::Column = application::Column::InstalledBy;
    const PLATFORM: Self::Column = application::Column::Platform;
    const CONTROLLER_ID: Self::Column = application::Column::ControllerId;
    const LANE: Self::Column = application::Column::Lane;
    const COMMAND_ID: Self::Column = application::Column::CommandId;
    const REASON: Self::Column = application::Column::Reason;
    const FAILURES: Self::Column = application::Column::Failures;
    const NEXT_ATTEMPT_MS: Self::Column = application::Column::NextAttemptMs;
    const DEADLINE_MS: Self::Column = application::Column::DeadlineMs;
    const WAKE_MS: Self::Column = application::Column::WakeMs;
    const CREATED_MS: Self::Column = application::Column::CreatedMs;
    const AWAITS_ROOM: &'static str = "1 = 0";
    const UNPLACED: &'static str = "controller_id IS NULL AND install_status <> 'uninstalled'";
    const DOMAIN: &'static str = "applications";

    fn work(id: Uuid, word: Word) -> Work {
        use machine::application::Event;
        let work = match word {
            Word::Place => ApplicationWork::Place(id),
            Word::Tick => ApplicationWork::Happened(id, Event::Tick),
            Word::Deadline { held } => ApplicationWork::Happened(id, Event::Deadline { held }),
            Word::OwnerReady => ApplicationWork::Happened(id, Event::OwnerReady),
            Word::Lost => ApplicationWork::Happened(id, Event::Lost),
        };
        Work::Application(Box::new(work))
    }
}

impl Commanded for debt::Entity {
    const NOUN: &'static str = "debt";
    const ID: Self::Column = debt::Column::DebtId;
    const USER_ID: Self::Column = debt::Column::UserId;
    const PLATFORM: Self::Column = debt::Column::Platform;
    const CONTROLLER_ID: Self::Column = debt::Column::ControllerId;
    const LANE: Self::Column = debt::Column::Lane;
    const COMMAND_ID: Self::Column = debt::Column::CommandId;
    const REASON: Self::Column = debt::Column::Reason;
    const FAILURES: Self::Column = debt::Column::Failures;
    const NEXT_ATTEMPT_MS: Self::Column = debt::Column::NextAttemptMs;
    const DEADLINE_MS: Self::Column = debt::Column::DeadlineMs;
    const WAKE_MS: Self::Column = debt::Column::WakeMs;
    const CREATED_MS: Self::Column = debt::Column::CreatedMs;
    const AWAITS_ROOM: &'static str = "1 = 0";
    /// A debt is its owner's, and its delete goes there also while that takes no work.
    const UNPLACED: &'static str = "1 = 0";
    const DOMAIN: &'static str = "sessions";

    fn work(id: Uuid, word: Word) -> Work {
        use machine::debt::Event;
        let event = match word {
            Word::Place | Word::OwnerReady => Event::OwnerReady,
            Word::Tick => Event::Tick,
            Word::Deadline { held } => Event::Deadline { held },
            Word::Lost => Event::Lost,
        };
        Work::Debt(id, event)
    }
}

/// Whether what was done found it a place.
pub(crate) fn has_owner(done: &Done) -> bool {
    match done {
        Done::Session(row) => row.controller_id.is_some(),
        Done::Application(row) => row.controller_id.is_some(),
        _ => false,
    }
}

/// Whether what was done put its command on its way, or gave it a time.
pub(crate) fn is_under_way(done: &Done) -> bool {
    match done {
        Done::Session(row) => row.deadline_ms.or(row.next_attempt_ms).is_some(),
        Done::Application(row) => row.deadline_ms.or(row.next_attempt_ms).is_some(),
        _ => false,
    }
}
