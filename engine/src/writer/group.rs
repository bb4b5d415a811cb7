//! The group commit: from the queue to the answers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use migrations::connect::Database;
use migrations::fault::{self, Extent};
use migrations::{Class, class};
use sea_orm::{DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use streams::crash::{Moment, point};
use streams::tasks::{Task, panic_message};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Memory};
use super::known::Known;
use super::outcome::Outcome;
use super::panicked::Committing;
use super::turns::Turns;
use super::{Among, BATCH, Backlog, Done, Error, Job, keys, settle};
use crate::clock::Clock;
use crate::durability::{self, Durability};
use crate::signal::Signal;

/// The writer's loop and what it needs.
pub(super) struct Group {
    pub(super) database: Database,
    pub(super) durability: Arc<Durability>,
    pub(super) cancel: CancellationToken,
    pub(super) task: Task,
    /// The transaction under way, from its commit on until its answers are taken.
    pub(super) committing: Option<Committing>,
    clock: Clock,
    pub(super) among: Among,
    /// What the last transaction knew, where that still holds.
    pub(super) known: Known,
    pub(super) load: super::room::Load,
    pub(super) turns: Turns,
    backlog: Backlog,
    sweep: keys::Sweep,
}

/// How long work that nobody waits for looks out for other work, so as not to be a transaction of its own.
const COMPANY: Duration = Duration::from_millis(4);
/// Tries at a transaction that another engine crossed, before the last one.
const TRIES: usize = 3;
/// Panics over one piece of work before its caller is refused.
const PANICS: usize = 3;

pub(super) type Answers = Vec<Result<Done, Error>>;
type Begun = Result<DatabaseTransaction, Failed>;

/// How far a transaction came.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// The database is away, its disk is full, or the like: no work is to blame, and none is worth another try now.
    #[error(transparent)]
    Database(DbErr),
    /// Some of the work may be to blame.
    #[error(transparent)]
    Work(DbErr),
    /// The writer panicked over some of the work, of which nothing was committed.
    #[error("the writer panicked: {0}")]
    Panicked(String),
}

impl Failed {
    fn answer(self, count: usize) -> Answers {
        let answer = match self {
            Self::Panicked(_) => Error::Unexplained(self.to_string().into()),
            Self::Work(error) if count == 1 => Error::alone(&error),
            Self::Work(error) | Self::Database(error) => error.into(),
        };
        tracing::warn!(error = %answer, changes = count, "not written");
        vec![Err(answer); count]
    }

    /// Whether some of the work may be to blame, and the rest of it could be written without that.
    fn is_divisible(&self) -> bool {
        match self {
            Self::Work(error) => class(error) != Class::Passing,
            Self::Panicked(_) => true,
            Self::Database(_) => false,
        }
    }

    pub(super) fn into_error(self) -> DbErr {
        match self {
            Self::Database(error) | Self::Work(error) => error,
            Self::Panicked(cause) => DbErr::Custom(cause),
        }
    }
}

impl Group {
    pub(super) fn new(
        database: Database,
        clock: Clock,
        among: Among,
        backlog: Backlog,
        durability: Arc<Durability>,
        task: Task,
    ) -> Self {
        let cancel = task.cancel().clone();
        let (load, turns) = (super::room::Load::default(), Turns::default());
        let (known, sweep) = (Known::default(), keys::Sweep::default());
        Self { database, durability, cancel, task, committing: None, clock, among, known, load, turns, backlog, sweep }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                count = queue.recv_many(&mut jobs, BATCH) => if count == 0 { return },
                () = tokio::time::sleep(durability::PAUSE), if self.durability.suspended().is_some() => {}
                () = self.cancel.cancelled() => return,
            }
            if !self.accepts().await {
                self.refuse(&mut jobs);
            }
            if jobs.is_empty() {
                continue;
            }
            if jobs.iter().all(|job| job.work.can_wait()) {
                // what comes within this time, or nothing: then it goes alone
                let _ = tokio::time::timeout(COMPANY, queue.recv_many(&mut jobs, BATCH)).await;
            }
            let begun = self.begin().await;
            while let Some(job) = (jobs.len() < BATCH).then(|| queue.try_recv().ok()).flatten() {
                jobs.push(job); // it came while the transaction began, which takes longest when most comes
            }
            let answers = self.write(begun, &jobs).await;
            for (job, answer) in jobs.drain(..).zip(answers) {
                let _ = job.answer.send(answer); // a caller that went away does not change what was committed
            }
        }
    }

    /// They are told why nothing is written now.
    fn refuse(&self, jobs: &mut Vec<Job>) {
        let why = self.durability.suspended().map_or_else(String::new, |suspended| suspended.to_string());
        let why = Error::Unavailable(why.into());
        for job in jobs.drain(..) {
            let _ = job.answer.send(Err(why.clone())); // a caller that went away does not need it
        }
    }

    /// Writes all of them in one transaction; where that fails, in halves and their halves, so that a bad one fails alone and costs
    /// the others a few transactions.
    async fn write(&mut self, begun: Begun, jobs: &[Job]) -> Answers {
        let since = Instant::now();
        let mut answers = Vec::with_capacity(jobs.len());
        let (mut begun, mut parts) = (Some(begun), vec![jobs]);
        while let Some(part) = parts.pop() {
            let begun = match begun.take() {
                Some(begun) => begun,
                None => self.begin().await,
            };
            match self.persist_or_recover(begun, part).await {
                Ok(written) => answers.extend(written),
                Err(failed) if part.len() > 1 && failed.is_divisible() => {
                    let (first, rest) = part.split_at(part.len() / 2);
                    parts.extend([rest, first]);
                }
                Err(away @ Failed::Database(_)) => {
                    answers.extend(away.answer(jobs.len() - answers.len()));
                    break;
                }
                Err(failed) => answers.extend(failed.answer(part.len())),
            }
        }
        self.among.metrics.batch(jobs.len(), since.elapsed());
        answers
    }

    /// A panic costs the transaction that was under way, unless that was committed before. Work that is alone is tried again, because
    /// what the writer remembered may have been to blame.
    async fn persist_or_recover(&mut self, mut begun: Begun, jobs: &[Job]) -> Result<Answers, Failed> {
        let task = self.task.clone();
        let mut panics = 0;
        loop {
            let written = AssertUnwindSafe(task.round(self.persist(begun, jobs))).catch_unwind().await;
            let recovered = match written {
                Ok(Ok(())) => Ok(self.committing.take().map(|committing| committing.answers).unwrap_or_default()),
                Ok(Err(failed)) => Err(failed),
                Err(panic) => self.recover(panic_message(panic.as_ref())).await,
            };
            panics += 1;
            match recovered {
                Err(Failed::Panicked(_)) if jobs.len() == 1 && panics < PANICS => begun = self.begin().await,
                done => return done,
            }
        }
    }

    /// Two engines may make the same new row at once: whoever loses reads it and goes again.
    async fn persist(&mut self, mut begun: Begun, jobs: &[Job]) -> Result<(), Failed> {
        for _ in 0..TRIES {
            match self.within(begun?, jobs).await {
                Err(error) if class(&error) == Class::Contention => begun = self.begin().await,
                Err(error) => return Err(self.failed(error).await),
                Ok(()) => return Ok(()),
            }
        }
        match self.within(begun?, jobs).await {
            Err(error) => Err(self.failed(error).await),
            Ok(()) => Ok(()),
        }
    }

    /// Whom an error is to be blamed on. Where it is the database, its transaction has ended when this answers.
    async fn failed(&self, error: DbErr) -> Failed {
        match fault::extent(&error) {
            Extent::Known => Failed::Work(error),
            Extent::Unknown => {
                self.suspend(&error);
                self.ended().await;
                Failed::Database(error)
            }
        }
    }

    pub(super) async fn begin(&self) -> Begun {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.database.writer.begin_with_options(options).await.map_err(|error| {
            self.suspend(&error);
            Failed::Database(error)
        })
    }

    async fn within(&mut self, tx: DatabaseTransaction, jobs: &[Job]) -> Result<(), DbErr> {
        self.committing = None;
        let (now_ms, number) = self.clock.transaction(&tx).await?;
        let known = std::mem::take(&mut self.known);
        let Among { flight, sizes, admission, .. } = &self.among;
        let memory = Memory { load: &mut self.load, turns: &mut self.turns, flight, sizes, admission: *admission };
        let mut batch = Batch::load(&tx, jobs, now_ms, known, memory).await?;
        let answers: Answers = jobs.iter().map(|job| batch.apply(job)).collect();
        let watched = self.among.wakes.watched.among(batch.changed_sessions());
        point("writer.commit", Moment::Before);
        let (mut outcome, known) = batch.flush(&tx).await?;
        self.sweep.run(&tx, now_ms).await?;
        let sample = self.durability.sample(&tx, outcome.witness).await?;
        point("writer.commit", Moment::During);
        let committing = self.committing.insert(Committing { answers, number, witness: outcome.witness });
        if let Err(error) = tx.commit().await {
            let (number, witness) = (committing.number.clone(), committing.witness);
            self.settle(number.as_deref(), witness, error).await?;
        }
        self.durability.compare(&self.database.reader, sample).await.map_err(|unseen| settle::unseen(&unseen))?;
        self.known = known;
        point("writer.commit", Moment::After);
        self.announce(&mut outcome);
        self.among.wakes.watched.tell(watched);
        Ok(())
    }

    fn announce(&self, outcome: &mut Outcome) {
        self.among.metrics.committed(outcome);
        let flown = self.among.flight.written(outcome.told.iter());
        self.backlog.add(outcome.queued - flown);
        self.among.flight.hand(std::mem::take(&mut outcome.handed));
        if outcome.marked {
            point("relay.mark", Moment::After);
        }
        if outcome.awaits_room {
            self.among.wakes.room_is_awaited();
        }
        self.among.wakes.tell(Signal::of(outcome));
        self.among.wakes.tell_others(Signal::of(outcome));
    }
}
