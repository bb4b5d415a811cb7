//! What happens when many things are asked for at once: a job walks what its filter means, a step at a time.
//!
//! The walk is by (creation time, id), up to the moment of the job's creation, so that it ends. A step is one piece of work of
//! [`STEP`] items at most, so that other callers' work stands between two steps; where it stands is written with it, so that
//! whoever goes on, after whatever crash, goes on there. One run of an engine walks a job at a time: it holds a claim by the
//! database's clock, which every step renews. A step is as small as the job's rate and canary want it; when the next may be taken
//! is written with it, and nothing sleeps for it here. The loop is woken by a job's creation; the slow look is for jobs that another
//! engine accepted and cannot walk any more.

mod canary;
mod request;
mod scan;
mod walk;

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{EntityTrait, QueryFilter, QueryOrder};
use streams::crash::{Moment, point};
use streams::publisher::Publisher;
use streams::tasks::Task;
use uuid::Uuid;

use self::walk::Page;
use crate::parts::Parts;
use crate::store::canary::{Canary, Stage};
use crate::store::job;
use crate::writer::{self, Hope, JobStep, JobWrite};

pub(crate) use request::first_row;
pub use request::{Kind, LogScan, NewJob, Pace, What};

/// Items of a step: a quarter of the writer's transaction.
const STEP: u64 = writer::BATCH as u64 / 4;
/// The slow look behind the wake-ups.
const POLL: Duration = Duration::from_secs(30);
/// The longest wait for another's claim, so that a moved clock is noticed.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The pause after a step that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a job does not move now.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// It cannot be read.
    #[error("the database does not answer: {0}")]
    Database(#[from] sea_orm::DbErr),
    /// A letter cannot be read.
    #[error("the database does not answer: {0}")]
    Letter(#[source] crate::ReadError),
    /// It cannot be written.
    #[error(transparent)]
    Writer(#[from] writer::Error),
    /// What it says is not known here.
    #[error("job {0} is of a kind or has a filter that this version does not know")]
    Unknown(Uuid),
    /// A message cannot go out.
    #[error("a message cannot be published: {0}")]
    Away(#[source] streams::publisher::Error),
    /// What became of a message cannot be seen.
    #[error("JetStream does not say what became of a message: {0}")]
    Unseen(#[from] streams::topology::Error),
}

/// What came of looking at a job.
enum Moved {
    /// A step was taken.
    On,
    /// Nothing to do before this many milliseconds.
    Wait(i64),
}

/// One run of an engine that walks jobs.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) parts: Parts,
    pub(crate) publisher: Publisher,
    /// Commands that may wait; while there are as many, no job starts more.
    pub(crate) outbox_limit: i64,
    /// By which its claims are known.
    pub(crate) me: Uuid,
}

/// Items of the next step: no more than its canary still wants, and of its rate no more than a quarter of a second's.
fn most(job: &job::Model, canary: Option<&Canary>) -> u64 {
    let trying = canary.filter(|canary| canary.stage == Stage::Trying).map_or(STEP, Canary::left);
    let paced = job.rate().map_or(STEP, |rate| (rate / 4).max(1));
    STEP.min(trying).min(paced)
}

pub(crate) async fn run(runner: Runner, task: Task) {
    loop {
        let pause = match task.round(runner.round()).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(%error, "jobs cannot be read");
                PAUSE
            }
        };
        tokio::select! {
            biased;
            () = task.cancel().cancelled() => break,
            () = runner.parts.wakes.jobs.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    if let Err(error) = runner.release().await {
        tracing::warn!(%error, "jobs are left until their claims end");
    }
}

impl Runner {
    async fn running(&self) -> Result<Vec<job::Model>, Error> {
        let running = job::Entity::find().filter(Expr::cust("status = 'running'")); // literally as in the partial index
        Ok(running.order_by_asc(job::Column::CreatedMs).all(&self.parts.database.reader).await?)
    }

    /// One step of each running job, so that a long one does not hold up the others; answers how long there is nothing to do.
    async fn round(&self) -> Result<Duration, Error> {
        let running = self.running().await?;
        if running.is_empty() {
            return Ok(POLL);
        }
        let now_ms = self.parts.clock.now_ms(&self.parts.database.reader).await?;
        let mut wait = Some(MAX_WAIT);
        for job in running {
            let about = job::Model::entity(job.job_id);
            if self.parts.stuck.is_passed_over(&about, now_ms) {
                continue;
            }
            match self.advance(&job, now_ms).await {
                Err(Error::Writer(error)) if error.hope() != Hope::Passes => {
                    self.parts.stuck.pass_over(&about, error, now_ms);
                }
                Ok(Moved::On) => wait = None,
                Ok(Moved::Wait(ms)) => wait = wait.map(|wait| wait.min(Duration::from_millis(ms.unsigned_abs()))),
                Err(error) => {
                    tracing::warn!(%error, job.id = %job.job_id, "a job does not move now");
                    wait = wait.map(|wait| wait.min(PAUSE));
                }
            }
        }
        Ok(wait.unwrap_or_default())
    }

    async fn advance(&self, job: &job::Model, now_ms: i64) -> Result<Moved, Error> {
        let left_ms = job.claimed_until_ms.unwrap_or_default() - now_ms;
        if job.claimed_by == Some(self.me) {
            return self.go_on(job, now_ms).await;
        }
        if left_ms > 0 {
            return Ok(Moved::Wait(left_ms));
        }
        match self.write(JobWrite::Claim { id: job.job_id, runner: self.me }).await {
            Ok(claimed) => self.go_on(&claimed, now_ms).await,
            Err(writer::Error::Conflict(_)) => Ok(Moved::Wait(1_000)), // another was first
            Err(error) => Err(error.into()),
        }
    }

    /// The next step, where its canary and its rate allow one.
    async fn go_on(&self, job: &job::Model, now_ms: i64) -> Result<Moved, Error> {
        if let Some(scan) = job.scan() {
            return self.scan(job, scan).await;
        }
        let canary = job.canary();
        if let Some(canary) = canary.as_ref().filter(|canary| canary.stage == Stage::Waiting) {
            return self.judge(job, canary).await;
        }
        match job.not_before_ms.map(|at| at - now_ms) {
            Some(left_ms) if left_ms > 0 => Ok(Moved::Wait(left_ms)),
            _ => self.step(job, most(job, canary.as_ref())).await,
        }
    }

    async fn step(&self, job: &job::Model, most: u64) -> Result<Moved, Error> {
        let starts = Kind::from_name(&job.kind).is_some_and(Kind::starts);
        if starts && !job.dry_run && self.parts.writer.backlog().get() >= self.outbox_limit {
            return Ok(Moved::Wait(1_000));
        }
        point("job.step", Moment::Before);
        let page = self.page(job, most).await?;
        let Page { items, to, last } = page;
        let step = JobStep { id: job.job_id, runner: self.me, from: job.cursor(), items, to, last };
        self.written(JobWrite::Step(Box::new(step))).await
    }

    /// Writes a step, and says so where it was the last one.
    async fn written(&self, write: JobWrite) -> Result<Moved, Error> {
        match self.write(write).await {
            Ok(row) => {
                point("job.step", Moment::After);
                if !row.is_running() {
                    tracing::info!(job.id = %row.job_id, job.kind = row.kind, job.done = row.done,
                        job.failed = row.failed, job.skipped = row.skipped, "a job has ended");
                }
                Ok(Moved::On)
            }
            Err(writer::Error::Conflict(_)) => Ok(Moved::Wait(1_000)), // cancelled, or another's meanwhile
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, write: JobWrite) -> Result<job::Model, writer::Error> {
        self.parts.writer.enqueue(write, None).await
    }

    /// Leaves what it holds to whoever is there.
    async fn release(&self) -> Result<(), Error> {
        for job in self.running().await?.into_iter().filter(|job| job.claimed_by == Some(self.me)) {
            self.write(JobWrite::Release { id: job.job_id, runner: self.me }).await?;
        }
        Ok(())
    }
}
