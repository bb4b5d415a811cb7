//! What happens to a job, and to its items.

use serde::Serialize;
use uuid::Uuid;

use super::{Ask, Replay};
use crate::store::canary::Try;
use crate::store::job;
use crate::verify::{Position, Report};
use crate::writer::Error;

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
    /// A dead letter to close, and why.
    Discard(Uuid, String),
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
