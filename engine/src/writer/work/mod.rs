//! The pieces of work that the writer takes.

mod job;
mod letter;
mod session;
mod template;

use machine::Lane;
use machine::session::{Event, FailedAttempt};
use serde::{Deserialize, Serialize};
use streams::wire::Heartbeat;
use uuid::Uuid;

use super::application::ApplicationWork;
use super::outlook::Outlook;
use super::prune::Prune;
use super::records::Records;
use crate::amendment::Amendment;
use crate::store;

pub use job::{Failure, Item, JobStep, JobWrite, Judged, ScanStep};
pub(crate) use letter::bounded_source;
pub use letter::{Edit, NewDeadLetter, Replay};
pub use session::{Ask, NewSession, ReportIn, Stands};
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

/// A heartbeat as it was heard.
#[derive(Debug, Clone)]
pub struct Beat {
    /// What it says.
    pub heartbeat: Heartbeat,
    /// It came on the subject that names its sender.
    pub own_subject: bool,
    /// Since when heartbeats have been listened to without a break, by the database's clock; `None` where that is not known yet.
    pub listening_since_ms: Option<i64>,
}

/// What an operator decides about a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operated {
    /// A newcomer may serve its platform.
    Admit,
    /// Its host was reinstalled, or speaks another protocol: what tells it from others is forgotten.
    Reset,
    /// It is gone for good.
    Remove,
}

/// An operator takes a controller out of service.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Which.
    pub controller_id: String,
    /// Why.
    pub why: String,
    /// Who.
    pub by: String,
    /// The job that moves its sessions.
    pub job: store::job::Model,
}

/// One piece of work.
#[derive(Debug, Clone)]
pub enum Work {
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
    /// A controller fell silent, or time passed for its breaker.
    Controller(String, machine::controller::Event),
    /// An operator revokes a controller.
    Revoke(Box<Revocation>),
    /// An operator puts a controller back into service.
    Reinstate {
        /// Which.
        controller_id: String,
        /// Why.
        why: String,
        /// Who.
        by: String,
    },
    /// An operator decides about a controller.
    Operated {
        /// Which.
        controller_id: String,
        /// What becomes of it.
        what: Operated,
        /// Why.
        why: String,
        /// Who.
        by: String,
    },
    /// Time, an operator, or a lost stream, to what a former owner owes.
    Debt(Uuid, machine::debt::Event),
    /// A controller told all that exists in its world.
    Synced {
        /// Who.
        controller_id: String,
        /// The run that told it.
        instance_id: Uuid,
    },
    /// Commands that were published.
    Published(Vec<Mark>),
    /// Something to park.
    Park(Box<NewDeadLetter>),
    /// Dead letters whose public copy is in the stream.
    Copied(Vec<Uuid>),
    /// An operator replays a dead letter.
    Replay {
        /// Which.
        letter: Uuid,
        /// How.
        how: Replay,
        /// Who.
        by: String,
    },
    /// An operator asks what a replay would do; nothing is written.
    TryReplay {
        /// Which.
        letter: Uuid,
        /// How.
        how: Replay,
    },
    /// An operator has corrected a message that could not be read, and it was published.
    Edit {
        /// Which.
        letter: Uuid,
        /// How.
        edit: Box<Edit>,
        /// Who.
        by: String,
    },
    /// An operator has done with a dead letter.
    Discard {
        /// Which.
        letter: Uuid,
        /// Why.
        why: String,
        /// Who.
        by: String,
    },
    /// A job, or its next step.
    Job(JobWrite),
    /// An operator has the streams made anew.
    Rebuild {
        /// Why.
        why: String,
        /// Who.
        by: String,
    },
    /// Old rows of the log go.
    Prune(Box<Prune>),
    /// Old records go.
    PruneRecords(Records),
    /// A stream's incarnation is known and dealt with.
    Epoch {
        /// The stream.
        name: &'static str,
        /// Its epoch.
        epoch: i64,
        /// When the server made it.
        created_at: String,
        /// Its last sequence.
        last_seq: i64,
    },
}

impl Work {
    /// Whether nobody waits for its end, so that it may look out for company: marks of what is on its way anyhow.
    pub(super) fn can_wait(&self) -> bool {
        matches!(self, Self::Published(_) | Self::Copied(_))
    }
}

/// What came of it. It is kept as JSON under the request's idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Done {
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
