//! The pieces of work that the writer takes.

mod controller;
mod job;
mod letter;
mod session;
mod template;

use machine::Lane;
use machine::session::{Event, FailedAttempt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::application::ApplicationWork;
use super::outlook::Outlook;
use super::prune::Prune;
use super::records::Records;
use crate::amendment::Amendment;
use crate::store;

pub use controller::{Beat, ControllerEvent, Operate, Operated, Reinstate, Revocation, Synced};
pub use job::{Failure, Item, JobStep, JobWrite, Judged, ScanStep};
pub(crate) use letter::bounded_source;
pub use letter::{DiscardLetter, Edit, EditLetter, NewDeadLetter, Replay, ReplayLetter, TryReplay};
pub use session::{Amend, Ask, AskSession, NewSession, ReportIn, Stands};
pub use template::{TemplateWrite, Written, WrittenTemplate};

/// A command that JetStream acknowledged.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Which.
    pub event_id: Uuid,
    /// The attempt that was published; a later one is not marked by it.
    pub attempt: i32,
    /// The stream's epoch; `None` in the core lane.
    pub epoch: Option<i64>,
    /// The sequence in the stream.
    pub seq: Option<i64>,
}

/// What has commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commanded {
    /// A session.
    Session(Uuid),
    /// An application.
    Application(Uuid),
    /// A debt.
    Debt(Uuid),
}

impl Commanded {
    /// By the entity that the log names.
    #[must_use]
    pub fn of(entity: &str) -> Option<Self> {
        let (kind, id) = entity.split_once(':')?;
        let id = id.parse().ok()?;
        match kind {
            "session" => Some(Self::Session(id)),
            "application" => Some(Self::Application(id)),
            "debt" => Some(Self::Debt(id)),
            _ => None,
        }
    }
}

/// An attempt that came to nothing.
#[derive(Debug, Clone)]
pub struct LostAttempt {
    /// What the command is about; a former owner's report on a session may be about its debt.
    pub of: Commanded,
    /// Which attempt, and why.
    pub failed: FailedAttempt,
    /// Whose report was parked, and how it came: it counts only where it is the owner's. `None`: the engine itself says so.
    pub by: Option<(String, Lane)>,
}

/// Commands that were published.
#[derive(Debug, Clone)]
pub struct MarkPublished(pub Vec<Mark>);

/// Dead letters whose public copy is in the stream.
#[derive(Debug, Clone)]
pub struct MarkCopied(pub Vec<Uuid>);

/// An operator has the streams declared anew.
#[derive(Debug, Clone)]
pub struct Rebuild {
    /// The operator's reason.
    pub why: String,
    /// The operator.
    pub by: String,
}

/// A stream's epoch is known, and what followed from it is done.
#[derive(Debug, Clone)]
pub struct KnownEpoch {
    /// The stream.
    pub name: &'static str,
    /// Its epoch.
    pub epoch: i64,
    /// When the server made it.
    pub created_at: String,
    /// Its last sequence.
    pub last_seq: i64,
}

/// One piece of work, as the writer's queue carries it; callers submit a `Request`.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// A new session.
    Create(Box<NewSession>),
    /// Something asked of a session.
    Ask(Uuid, Ask),
    /// A change of what is attached to a session.
    Amend(Uuid, Box<Amendment>),
    /// Work on a session, where it stands as is believed.
    If {
        /// Which.
        session: Uuid,
        /// The condition.
        stands: Stands,
        /// What is done where it holds.
        then: Box<Work>,
    },
    /// A report of a session's owner.
    Report(Box<ReportIn>),
    /// Look again for a place.
    Place(Uuid),
    /// Time, a ready owner, or a lost stream.
    Happened(Uuid, Event),
    /// An attempt of a command came to nothing, and no report says so.
    AttemptFailed(Box<LostAttempt>),
    /// An application, or what a controller says of a template.
    Application(Box<ApplicationWork>),
    /// A template.
    Template(TemplateWrite),
    /// A controller spoke.
    Heartbeat(Box<Beat>),
    /// A controller fell silent, time passed for its breaker, or an operator gave that an order.
    Controller(ControllerEvent),
    /// An operator revokes a controller.
    Revoke(Box<Revocation>),
    /// An operator puts a controller back into service.
    Reinstate(Reinstate),
    /// An operator decides about a controller.
    Operate(Operate),
    /// Time, an operator, or a lost stream, to what a former owner owes.
    Debt(Uuid, machine::debt::Event),
    /// A controller sent its whole inventory.
    Synced(Synced),
    /// Commands that were published.
    Published(Vec<Mark>),
    /// Something to park.
    Park(Box<NewDeadLetter>),
    /// Dead letters whose public copy is in the stream.
    Copied(Vec<Uuid>),
    /// An operator replays a dead letter.
    Replay(ReplayLetter),
    /// An operator asks what a replay would do; nothing is written.
    TryReplay(TryReplay),
    /// An operator has corrected a message that could not be read, and it was published.
    Edit(Box<EditLetter>),
    /// An operator closes a dead letter.
    Discard(DiscardLetter),
    /// A job, or its next step.
    Job(JobWrite),
    /// An operator has the streams declared anew.
    Rebuild(Rebuild),
    /// Old rows of the log go.
    Prune(Box<Prune>),
    /// Old records go.
    PruneRecords(Records),
    /// A stream's epoch is known, and what followed from it is done.
    Epoch(KnownEpoch),
}

impl Work {
    /// Work on a session that is done only where the session stands as the caller believes.
    pub(super) fn when(session: Uuid, stands: Option<Stands>, then: Self) -> Self {
        match stands {
            Some(stands) => Self::If { session, stands, then: Box::new(then) },
            None => then,
        }
    }

    /// No caller is waiting, so it may be delayed to join a batch.
    pub(super) fn can_wait(&self) -> bool {
        matches!(self, Self::Published(_) | Self::Copied(_))
    }
}

/// What came of it, as the writer's queue carries it; callers get the reply that their request names. It is kept as JSON under
/// the request's idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Done {
    /// The session as it is now.
    Session(Box<store::session::Model>),
    /// The application as it is now.
    Application(Box<store::application::Model>),
    /// The templates, in the order in which they came.
    Templates(Vec<WrittenTemplate>),
    /// The controller as it is now.
    Controller(Box<store::controller::Model>),
    /// The dead letter as it is now.
    DeadLetter(Box<store::dead_letter::Model>),
    /// What would become of it.
    Outlook(Box<Outlook>),
    /// The job as it is now.
    Job(Box<store::job::Model>),
    /// It was known already; nothing changed.
    Duplicate,
    /// Written.
    Written,
}
