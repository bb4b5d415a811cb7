//! What happens when anything changes: every change of every row goes through this one room.
//!
//! The writer takes what waits in its queue, locks the rows that it touches in key order, runs the machine for each piece of
//! work in turn, writes each row once together with the log, commits, and only then answers each caller. One bad piece of work
//! fails alone. A commit whose answer was lost is read back before anything is tried again.

mod admission;
mod amend;
mod application;
mod attempt;
mod batch;
mod canary;
mod commands;
mod controller;
pub(crate) mod dead_letter;
mod debt;
mod decided;
mod group;
mod job;
mod judged;
mod keys;
mod known;
mod needs;
mod outcome;
mod outlook;
mod panicked;
mod prune;
mod rebuild;
mod records;
mod repair;
mod repeats;
mod requests;
mod revocation;
pub(crate) mod room;
mod session;
mod settle;
mod template;
mod turns;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use migrations::Class;
use migrations::connect::Database;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::durability::Durability;
use crate::metrics::Metrics;
use crate::relay::Flight;
pub use crate::signal::Wakes;
use crate::sizes::Sizes;
pub use application::{ApplicationReport, ApplicationWork, NewApplication, TemplateReport, UninstallApplication};
pub(crate) use batch::{Batch, Slot};
pub use controller::{IN_ALL as CONTROLLERS, PER_PLATFORM as CONTROLLERS_PER_PLATFORM};
pub use keys::{KEPT_MS, Key};
pub(crate) use needs::Needs;
pub(crate) use outcome::Outcome;
pub use outlook::{Outlook, Outlooks};
pub use prune::{Cut, Prune};
pub use records::Records;
pub(crate) use repeats::remembered;
use requests::Reply as _;
pub(crate) use requests::{Ended, NudgeCommand, Request};
use work::Done;
pub(crate) use work::Work;
pub(crate) use work::bounded_source;
pub use work::{
    Amend, Ask, AskSession, Beat, Commanded, ControllerEvent, DiscardLetter, Edit, EditLetter, Failure, Item, JobStep,
    JobWrite, Judged, KnownEpoch, LostAttempt, Mark, MarkCopied, MarkPublished, NewDeadLetter, NewSession, Operate,
    Operated, Rebuild, Reinstate, Replay, ReplayLetter, ReportIn, Revocation, ScanStep, Stands, Synced, TemplateWrite,
    TryReplay, Written, WrittenTemplate,
};

/// Pieces of work that may wait for the writer; beyond it callers are told to come back.
pub const QUEUE: usize = 8_192;
/// Pieces of work in one transaction at most.
pub const BATCH: usize = 256;

/// Why a piece of work was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The state machine refused it.
    #[error(transparent)]
    Refused(#[from] machine::command::Error),
    /// There is no such thing.
    #[error("there is no {what} {name}")]
    NotFound {
        /// `session`, `application`, `template`, `controller`, `dead letter` or `job`.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// Sessions use what was to be taken away.
    #[error("{name} is used by {count} sessions, first of all {}", list(first))]
    InUse {
        /// The template.
        name: String,
        /// How many.
        count: u64,
        /// The oldest of them.
        first: Vec<uuid::Uuid>,
    },
    /// Something newer has happened since.
    #[error("{0}")]
    Superseded(String),
    /// The same id was used for something else.
    #[error("event {0} was already received with other content")]
    SameIdOtherContent(uuid::Uuid),
    /// The session is not where the asker believes it to stand.
    #[error("the session has moved on: it is at generation {generation}, revision {revision}")]
    Moved {
        /// Its generation now.
        generation: i64,
        /// Where its log stands now.
        revision: i64,
    },
    /// What it would become breaks a rule.
    #[error(transparent)]
    Invalid(#[from] crate::request::Invalid),
    /// The same key came with another request.
    #[error("the idempotency key {0:?} was used for another request")]
    KeyReused(String),
    /// The queue is full.
    #[error("too much is waiting to be written; try again shortly")]
    Busy,
    /// The outbox is full.
    #[error("{waiting} commands wait to be carried out, and no more than {limit} may; try again later")]
    Backlog {
        /// How many wait.
        waiting: i64,
        /// How many may.
        limit: i64,
    },
    /// The database does not take it now.
    #[error("the database does not accept changes now: {0}")]
    Unavailable(Arc<str>),
    /// The tables can never hold it: it was alone in its transaction, and broke a rule of theirs.
    #[error("the database cannot store this: {0}")]
    Unstorable(Arc<str>),
    /// It was alone in its transaction, and failed for a reason that nobody knows to be passing.
    #[error("the database did not take this, for a reason that may not pass: {0}")]
    Unexplained(Arc<str>),
    /// A row holds what this version does not know.
    #[error("{0}")]
    Unreadable(Arc<str>),
}

/// Whether work that was not done may be done if it is handed in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hope {
    /// It was not its fault: sooner or later it is done.
    Passes,
    /// Nobody knows: it may be tried a bounded number of times.
    Unknown,
    /// Never.
    None,
}

fn list(ids: &[uuid::Uuid]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Of what was read, or written together with other things, so that nothing in particular is to blame.
impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Unavailable(error.to_string().into())
    }
}

impl Error {
    /// The stable word for its sort, as the types of problems of the API are named.
    #[must_use]
    pub fn problem(&self) -> &'static str {
        match self {
            Self::Refused(machine::command::Error::Illegal { .. }) => "illegal-transition",
            Self::Refused(_) | Self::Conflict(_) | Self::SameIdOtherContent(_) => "conflict",
            Self::NotFound { .. } => "not-found",
            Self::InUse { .. } => "in-use",
            Self::Superseded(_) => "superseded",
            Self::Moved { .. } => "precondition-failed",
            Self::Invalid(_) | Self::Unstorable(_) => "invalid-fields",
            Self::KeyReused(_) => "idempotency-key-reused",
            Self::Busy | Self::Backlog { .. } | Self::Unavailable(_) | Self::Unexplained(_) => "unavailable",
            Self::Unreadable(_) => "internal",
        }
    }

    /// Of a change that was alone in its transaction.
    fn alone(error: &sea_orm::DbErr) -> Self {
        let said = error.to_string().into();
        match migrations::class(error) {
            Class::Permanent => Self::Unstorable(said),
            Class::Unknown => Self::Unexplained(said),
            Class::Passing | Class::Contention => Self::Unavailable(said),
        }
    }

    /// What is to become of the work.
    #[must_use]
    pub const fn hope(&self) -> Hope {
        match self {
            Self::Busy | Self::Backlog { .. } | Self::Unavailable(_) => Hope::Passes,
            Self::Unexplained(_) => Hope::Unknown,
            _ => Hope::None,
        }
    }
}

/// One piece of work on its way through the writer.
pub(crate) struct Job {
    work: Work,
    traceparent: Option<String>,
    key: Option<Key>,
    answer: oneshot::Sender<Result<Done, Error>>,
}

/// The way to the writer; cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    backlog: Backlog,
    reader: sea_orm::DatabaseConnection,
    clock: Clock,
    durability: Arc<Durability>,
}

/// About how many commands are accepted and not yet handed to NATS: counted along with each commit of this engine, and counted
/// anew now and then, because others write too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog(Arc<AtomicI64>);

impl Backlog {
    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, waiting: i64) {
        self.0.store(waiting, Ordering::Relaxed);
    }

    fn add(&self, more: i64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("work", &self.work).finish_non_exhaustive()
    }
}

/// Whom a commit concerns.
#[derive(Debug)]
pub(crate) struct Among {
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) flight: Arc<Flight>,
    pub(crate) metrics: Metrics,
    pub(crate) sizes: Sizes,
    /// What a controller may do that nobody has heard of before.
    pub(crate) admission: machine::admission::Policy,
}

impl Writer {
    /// Starts the writer; it ends, after what it has begun, when `task` is to end.
    #[must_use]
    pub(crate) fn start(
        database: Database,
        clock: Clock,
        among: Among,
        task: streams::tasks::Task,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let backlog = Backlog::default();
        let (reader, read_clock) = (database.reader.clone(), clock.clone());
        let durability = Arc::<Durability>::default();
        let group = group::Group::new(database, clock, among, backlog.clone(), durability.clone(), task);
        let task = tokio::spawn(group.run(queue));
        (Self { jobs, backlog, reader, clock: read_clock, durability }, task)
    }

    /// Submits the request that `prepare` gives, unless its HTTP or NATS request was answered before: then that is the reply,
    /// and nothing is prepared. For requests whose preparation depends on what may have changed since.
    ///
    /// # Errors
    /// Why it was not prepared or not done.
    pub(crate) async fn once<R: Request, E: From<Error>>(
        &self,
        prepare: impl Future<Output = Result<R, E>>,
    ) -> Result<R::Reply, E> {
        if Key::is_given() {
            let answered = async {
                let now_ms = self.clock.now_ms(&self.reader).await?;
                Key::answered(&self.reader, now_ms).await
            };
            if let Some(done) = Box::pin(answered).await.map_err(E::from)? {
                return Ok(reply::<R>(done)?);
            }
        }
        Ok(self.submit(prepare.await?).await?)
    }

    /// Submits a request and waits until it is committed. It takes the idempotency key of the HTTP or NATS request that it is
    /// part of.
    ///
    /// # Errors
    /// [`Error::Busy`] at once where the queue is full, [`Error::Unavailable`] at once while the database does not keep what it is given;
    /// else why it was not done.
    pub(crate) async fn submit<R: Request>(&self, request: R) -> Result<R::Reply, Error> {
        if let Some(suspended) = self.durability.suspended() {
            return Err(Error::Unavailable(suspended.to_string().into()));
        }
        let (answer, receive) = oneshot::channel();
        let work = request.into_work();
        let job = Job { work, traceparent: streams::trace::current_traceparent(), key: Key::take(), answer };
        self.jobs.try_send(job).map_err(|_| Error::Busy)?;
        reply::<R>(receive.await.map_err(|_| Error::Unavailable("the writer has stopped".into()))??)
    }

    /// Submits a request of the engine's own, which waits for its place in the queue; `traceparent` continues its trace.
    ///
    /// # Errors
    /// Why it was not done.
    pub(crate) async fn enqueue<R: Request>(&self, request: R, traceparent: Option<String>) -> Result<R::Reply, Error> {
        let (answer, receive) = oneshot::channel();
        let stopped = || Error::Unavailable("the writer has stopped".into());
        let job = Job { work: request.into_work(), traceparent, key: None, answer };
        self.jobs.send(job).await.map_err(|_| stopped())?;
        reply::<R>(receive.await.map_err(|_| stopped())??)
    }

    /// Whether what is written is kept.
    pub(crate) fn durability(&self) -> &Durability {
        &self.durability
    }

    /// About how many commands wait to be published.
    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Part of the queue that is in use, from 0 to 1.
    #[must_use]
    pub fn fullness(&self) -> f64 {
        1.0 - self.jobs.capacity() as f64 / QUEUE as f64
    }
}

/// The only place where the reply of a request is read from what the queue carries.
fn reply<R: Request>(done: Done) -> Result<R::Reply, Error> {
    let of_another_kind = || Error::Unreadable("the writer's reply is of another kind than its request".into());
    R::Reply::from_done(done).ok_or_else(of_another_kind)
}
