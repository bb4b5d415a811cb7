//! The pieces of work that the writer takes.

use machine::session::{Event, Observation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use streams::wire::{Heartbeat, Manifest, Object, Resources};
use uuid::Uuid;

use super::Error;
use super::application::ApplicationWork;
use super::outlook::Outlook;
use super::prune::Prune;
use super::records::Records;
use crate::amendment::Amendment;
use crate::store::canary::{Sent, Try};
use crate::store::{application, controller, dead_letter, job, session};
use crate::verify::{Position, Report};

/// A session as it was asked for, checked.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Identity, chosen by the accepting side so that a lost answer can be looked up.
    pub session_id: Uuid,
    /// Identity of its create command.
    pub event_id: Uuid,
    /// Who it is for.
    pub user_id: String,
    /// The template's name.
    pub template_id: String,
    /// Where it is to run.
    pub platform: String,
    /// What it may use, as it was asked; the template's defaults fill the gaps.
    pub resources: Resources,
    /// Labels that its controller must have.
    pub selector: Object,
    /// Whether the home outlives hibernation.
    pub persistent_home: bool,
    /// Seconds.
    pub idle_timeout_s: Option<i64>,
    /// Seconds.
    pub max_duration_s: Option<i64>,
    /// For filters.
    pub tags: Vec<String>,
    /// What the caller attached.
    pub metadata: Object,
}

/// What people ask of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Sleep.
    Hibernate,
    /// Awake.
    Wake,
    /// Be gone.
    Delete {
        /// Do not wait for a dead owner.
        force: bool,
    },
    /// It is being used.
    Activity,
    /// Later stops, by so many seconds.
    Extend {
        /// How much later.
        by_s: i64,
    },
    /// Its dead letter is replayed.
    Again,
    /// Its owner was revoked: elsewhere.
    Move,
}

/// A report that came in.
#[derive(Debug, Clone)]
pub struct ReportIn {
    /// Its identity.
    pub event_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// The subject that it came on.
    pub subject: String,
    /// As it came.
    pub payload: Value,
    /// What it says.
    pub observation: Observation,
    /// Soft: what the session uses.
    pub resource_usage: Option<Value>,
}

/// A template to be written.
#[derive(Debug, Clone)]
pub enum TemplateWrite {
    /// Create it, or replace it where it differs.
    Put {
        /// As they came, checked. Either all are written or none.
        manifests: Vec<Manifest>,
        /// Shipped with this binary.
        built_in: bool,
    },
    /// Delete it; sessions keep what they were created with.
    Delete {
        /// Which.
        name: String,
    },
}

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

/// Something to be parked.
#[derive(Debug, Clone)]
pub struct NewDeadLetter {
    /// Deterministic identity of the cause, so that parking twice is parking once.
    pub source: String,
    /// The event, where it could be read.
    pub event_id: Option<Uuid>,
    /// Where it was going.
    pub subject: String,
    /// A stable word: `undecodable`, `illegal`, `retries_exhausted`, `permanent`, `poison`, ...
    pub reason: String,
    /// The last error.
    pub error: String,
    /// The exact bytes.
    pub payload: Vec<u8>,
    /// As name and value pairs.
    pub headers: Value,
    /// The error history.
    pub attempts: Value,
    /// What it was about, as in `event_log.entity`.
    pub entity: Option<String>,
    /// Who.
    pub controller_id: Option<String>,
    /// Where.
    pub platform: Option<String>,
    /// Whether the dead-letter stream has it already.
    pub copied: bool,
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
    pub job: job::Model,
}

/// How a dead letter is replayed.
#[derive(Debug, Clone)]
pub enum Replay {
    /// A failed command: what is desired of whatever it was for is tried once more.
    Ask {
        /// Whose command it was.
        of: Commanded,
        /// The generation that it belonged to.
        generation: i64,
    },
    /// A message that was published again.
    Sent {
        /// As what.
        note: String,
        /// Where it went; `None` where it did not.
        sent: Option<Sent>,
    },
}

/// A correction of a dead letter.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Why.
    pub reason: String,
    /// What it changes, as a JSON Patch (RFC 6902).
    pub diff: Value,
    /// The corrected message.
    pub message_id: String,
    /// As what it was published.
    pub note: String,
}

impl Edit {
    /// As the letter and its log keep it; without a time while it was not made.
    #[must_use]
    pub fn shown(&self, by: &str, at_ms: Option<i64>) -> Value {
        serde_json::json!({ "by": by, "at_ms": at_ms, "reason": self.reason, "diff": self.diff,
            "message_id": self.message_id })
    }
}

/// What happens to a job.
#[derive(Debug, Clone)]
pub enum JobWrite {
    /// It is asked for.
    Create(Box<job::Model>),
    /// A run of an engine wants to walk it.
    Claim {
        /// Which.
        id: Uuid,
        /// The run.
        runner: Uuid,
    },
    /// The run stops, and leaves it to others.
    Release {
        /// Which.
        id: Uuid,
        /// The run.
        runner: Uuid,
    },
    /// Its next items.
    Step(Box<JobStep>),
    /// What became of the items that went first.
    Judge(Box<Judged>),
    /// An operator lets one go on that halted.
    Resume {
        /// Which.
        id: Uuid,
        /// Who says so.
        by: String,
    },
    /// What its scan of the log saw next.
    Scanned(Box<ScanStep>),
    /// Nobody wants it any more.
    Cancel {
        /// Which.
        id: Uuid,
        /// Who says so.
        by: String,
    },
}

/// The next items of a job.
#[derive(Debug, Clone)]
pub struct JobStep {
    /// The job.
    pub id: Uuid,
    /// Who walks it.
    pub runner: Uuid,
    /// Where it was read to stand.
    pub from: Option<(i64, Uuid)>,
    /// What is to be done.
    pub items: Vec<Item>,
    /// Where it stands then; `None` where there were no items.
    pub to: Option<(i64, Uuid)>,
    /// Whether nothing comes after.
    pub last: bool,
}

/// What became of the items that a job let go first.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The job.
    pub id: Uuid,
    /// Who walks it.
    pub runner: Uuid,
    /// All of them, as they are now.
    pub tries: Vec<Try>,
}

/// What a scan of the log saw next.
#[derive(Debug, Clone)]
pub struct ScanStep {
    /// The job.
    pub id: Uuid,
    /// Who reads.
    pub runner: Uuid,
    /// Where it was read to stand.
    pub from: Option<Position>,
    /// Where it stands then; `None`: at its end.
    pub to: Option<Position>,
    /// What was seen.
    pub report: Report,
    /// Whether rows that differ are set to what the log says.
    pub repair: bool,
}

/// One item of a job.
#[derive(Debug, Clone)]
pub enum Item {
    /// Something asked of a session.
    Session(Uuid, Ask),
    /// A dead letter to replay.
    Letter(Uuid, Replay),
    /// It cannot be done, as was found before it came here.
    Refused(Failure),
}

/// Why an item of a job was not done.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The item.
    pub id: Uuid,
    /// The type of problem that a request for it alone would have been answered with.
    pub r#type: &'static str,
    /// What happened.
    pub detail: String,
}

impl Failure {
    /// The failure of an item that the writer refused.
    #[must_use]
    pub fn of(id: Uuid, error: &Error) -> Self {
        Self { id, r#type: error.problem(), detail: error.to_string() }
    }
}

/// Where a session is believed to stand, by whoever asks on that condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// Anywhere, as long as it exists.
    Anywhere,
    /// At one of these: a generation, and the revision that was read, where it matters.
    At(Vec<(i64, Option<i64>)>),
}

impl Stands {
    /// Whether it does. What its owner reported since is no hindrance; what somebody asked for or amended since is.
    #[must_use]
    pub fn holds(&self, row: &session::Model) -> bool {
        let Self::At(places) = self else { return true };
        places.iter().any(|(generation, revision)| {
            let seen = revision.is_none_or(|revision| (row.amended_seq..=row.entity_seq).contains(&revision));
            *generation == row.generation && seen
        })
    }
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
    /// An application, or what a controller says of a template.
    Application(Box<ApplicationWork>),
    /// A template.
    Template(TemplateWrite),
    /// A controller spoke.
    Heartbeat(Box<Heartbeat>),
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

/// What came of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Written {
    /// It is new, or was deleted before.
    Created,
    /// It differed.
    Updated,
    /// It was the same.
    Unchanged,
    /// It is gone.
    Deleted,
}

impl Written {
    /// The spelling on the wire and in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// A template that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenTemplate {
    /// Its name.
    pub name: String,
    /// Its number in the catalog.
    pub catalog_template_id: i64,
    /// What came of it.
    pub written: Written,
    /// The category that it had before, where it lived.
    pub category_before: Option<String>,
}

/// What came of it. It is kept as JSON under the request's idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Done {
    /// The session as it is now.
    Session(Box<session::Model>),
    /// The application as it is now.
    Application(Box<application::Model>),
    /// The templates, in the order in which they came.
    Templates(Vec<WrittenTemplate>),
    /// The controller as it is now.
    Controller(Box<controller::Model>),
    /// The dead letter as it is now.
    DeadLetter(Box<dead_letter::Model>),
    /// What would become of it.
    Outlook(Box<Outlook>),
    /// The job as it is now.
    Job(Box<job::Model>),
    /// It was known already; nothing changed.
    Duplicate,
    /// Written.
    Written,
}
