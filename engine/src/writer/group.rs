//! The group commit: from the queue to the answers.

use std::time::{Duration, Instant};

use migrations::connect::Database;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect, SqlErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use streams::crash::{Moment, point};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Memory};
use super::known::Known;
use super::outcome::Outcome;
use super::turns::Turns;
use super::{Among, BATCH, Backlog, Done, Error, Job, keys};
use crate::clock::Clock;
use crate::signal::Signal;
use crate::store::event;

/// The writer's loop and what it needs.
pub(super) struct Group {
    database: Database,
    clock: Clock,
    among: Among,
    /// What the last transaction knew, where that still holds.
    known: Known,
    load: super::controller::Load,
    turns: Turns,
    backlog: Backlog,
    sweep: keys::Sweep,
}

/// How long work that nobody waits for looks out for other work, so as not to be a transaction of its own.
const COMPANY: Duration = Duration::from_millis(4);
/// Tries at a transaction that another engine crossed, before the last one.
const TRIES: usize = 3;

type Answers = Vec<Result<Done, Error>>;
type Begun = Result<DatabaseTransaction, Failed>;

/// Unique violations, and what PostgreSQL says of deadlocks and serialization (SQLSTATE class 40).
fn is_contention(error: &DbErr) -> bool {
    let text = || error.to_string();
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
        || ["deadlock detected", "could not serialize"].iter().any(|sign| text().contains(sign))
}

/// How far a transaction came.
enum Failed {
    /// The database is away: no work is to blame, and none is worth another try now.
    Begin(DbErr),
    /// Some of the work may be to blame.
    Work(DbErr),
}

impl Failed {
    fn answer(self, count: usize) -> Answers {
        let (Self::Begin(error) | Self::Work(error)) = self;
        tracing::warn!(%error, changes = count, "not written");
        vec![Err(error.into()); count]
    }
}

impl Group {
    pub(super) fn new(database: Database, clock: Clock, among: Among, backlog: Backlog) -> Self {
        let (load, turns) = (super::controller::Load::default(), Turns::default());
        let (known, sweep) = (Known::default(), keys::Sweep::default());
        Self { database, clock, among, known, load, turns, backlog, sweep }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>, cancel: CancellationToken) {
        let mut jobs = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                count = queue.recv_many(&mut jobs, BATCH) => if count == 0 { return },
                () = cancel.cancelled() => return,
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

    /// Writes all of them in one transaction; where that fails, each in its own, so that a bad one fails alone.
    async fn write(&mut self, begun: Begun, jobs: &[Job]) -> Answers {
        let since = Instant::now();
        let answers = match self.persist(begun, jobs).await {
            Ok(answers) => answers,
            Err(Failed::Work(_)) if jobs.len() > 1 => self.write_each(jobs).await,
            Err(failed) => failed.answer(jobs.len()),
        };
        self.among.metrics.batch(jobs.len(), since.elapsed());
        answers
    }

    async fn write_each(&mut self, jobs: &[Job]) -> Answers {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let begun = self.begin().await;
            match self.persist(begun, std::slice::from_ref(job)).await {
                Ok(one) => answers.extend(one),
                Err(failed @ Failed::Work(_)) => answers.extend(failed.answer(1)),
                Err(away @ Failed::Begin(_)) => {
                    answers.extend(away.answer(jobs.len() - answers.len()));
                    return answers;
                }
            }
        }
        answers
    }

    /// Two engines may make the same new row at once: whoever loses reads it and goes again.
    async fn persist(&mut self, mut begun: Begun, jobs: &[Job]) -> Result<Answers, Failed> {
        for _ in 0..TRIES {
            match self.within(begun?, jobs).await {
                Err(error) if is_contention(&error) => begun = self.begin().await,
                done => return done.map_err(Failed::Work),
            }
        }
        self.within(begun?, jobs).await.map_err(Failed::Work)
    }

    async fn begin(&self) -> Begun {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.database.writer.begin_with_options(options).await.map_err(Failed::Begin)
    }

    async fn within(&mut self, tx: DatabaseTransaction, jobs: &[Job]) -> Result<Answers, DbErr> {
        let now_ms = self.clock.now_ms(&tx).await?;
        let known = std::mem::take(&mut self.known);
        let memory = Memory { load: &mut self.load, turns: &mut self.turns, flight: &self.among.flight };
        let mut batch = Batch::load(&tx, jobs, now_ms, known, memory).await?;
        let answers: Answers = jobs.iter().map(|job| batch.apply(job)).collect();
        let watched = self.among.wakes.watched.among(batch.changed_sessions());
        point("writer.commit", Moment::Before);
        let (mut outcome, known) = batch.flush(&tx).await?;
        self.sweep.run(&tx, now_ms).await?;
        point("writer.commit", Moment::During);
        if let Err(error) = tx.commit().await {
            self.read_back(&outcome, error).await?;
        }
        self.known = known;
        point("writer.commit", Moment::After);
        self.announce(&mut outcome);
        self.among.wakes.watched.tell(watched);
        Ok(answers)
    }

    /// The answer to a commit was an error, which may have come after the commit itself: look whether the log has it.
    async fn read_back(&self, outcome: &Outcome, error: DbErr) -> Result<(), DbErr> {
        let Some(witness) = outcome.witness else { return Err(error) };
        let found = event::Entity::find()
            .select_only()
            .column(event::Column::Id)
            .filter(event::Column::EventId.eq(witness.0))
            .filter(event::Column::Direction.eq(witness.1))
            .into_tuple::<i64>()
            .one(&self.database.writer)
            .await?;
        if found.is_some() { Ok(()) } else { Err(error) }
    }

    fn announce(&self, outcome: &mut Outcome) {
        self.among.metrics.committed(outcome);
        let flown = self.among.flight.written(outcome.told.iter());
        self.backlog.add(outcome.queued - flown);
        self.among.flight.hand(std::mem::take(&mut outcome.handed));
        if outcome.marked {
            point("relay.mark", Moment::After);
        }
        self.among.wakes.tell(Signal::of(outcome));
        self.among.wakes.tell_others(Signal::of(outcome));
    }
}
