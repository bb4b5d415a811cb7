//! What a commit wakes: the loops of this engine at once, and those of other engines on the same PostgreSQL by NOTIFY.
//!
//! A signal carries no data: whoever is woken reads the store again, with a slow poll behind it. The notification is part of
//! the writer's transaction, so PostgreSQL sends it if and only if it commits. While the listener was away, signals were
//! missed; so it wakes everybody when it comes back.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, sqlx};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::parts::Parts;
use crate::watched::Watched;
use crate::writer::Outcome;

/// One channel for each database.
const CHANNEL: &str = "streamspace_commits";
/// The pause before a lost listener tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// What a commit may have made work for.
#[derive(Debug)]
pub struct Wakes {
    /// Commands wait to be published.
    pub outbox: Notify,
    /// Public copies of dead letters wait to be published.
    pub copies: Notify,
    /// A controller has as many commands as it may: the relay looks again when one of them ends.
    pub held_back: AtomicBool,
    /// A timer is due earlier than was thought.
    pub timers: Notify,
    /// Until when timers are not looked at, in milliseconds: what is due later need not wake them.
    pub asleep_until_ms: AtomicI64,
    /// Sessions may find a place now, or their owners take work again.
    pub placement: Notify,
    /// A job waits to be walked.
    pub jobs: Notify,
    /// The log has grown.
    pub(crate) log: Notify,
    /// Counts commits of other engines.
    pub(crate) others: watch::Sender<u64>,
    /// Sessions that callers wait for.
    pub(crate) watched: Watched,
    /// By which an engine knows its own notifications.
    engine: Uuid,
}

impl Default for Wakes {
    fn default() -> Self {
        Self {
            outbox: Notify::new(),
            copies: Notify::new(),
            held_back: AtomicBool::new(false),
            timers: Notify::new(),
            asleep_until_ms: AtomicI64::new(i64::MAX),
            placement: Notify::new(),
            jobs: Notify::new(),
            log: Notify::new(),
            others: watch::Sender::new(0),
            watched: Watched::default(),
            engine: Uuid::new_v4(),
        }
    }
}

/// What one commit did, as far as loops care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signal {
    log: bool,
    outbox: bool,
    copies: bool,
    /// Commands have ended, which matters while some are held back.
    ended: bool,
    /// The earliest timer that was set.
    timers: Option<i64>,
    placement: bool,
    jobs: bool,
}

impl Signal {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let &Outcome { outbox, copies, ended, timers, placement, jobs, .. } = outcome;
        Self { log: outcome.witness.is_some(), outbox, copies, ended, timers, placement, jobs }
    }

    /// What another engine is told: copies, timers, placement and jobs stay with the engine that has them in hand.
    fn from_another(what: &str) -> Self {
        let (outbox, ended) = (what == "outbox", what == "ended");
        Self { log: true, outbox, copies: false, ended, timers: None, placement: false, jobs: false }
    }

    fn for_others(self) -> &'static str {
        match self {
            Self { outbox: true, .. } => "outbox",
            Self { ended: true, .. } => "ended",
            _ => "log",
        }
    }

    /// After a time without signals anything may have happened.
    const ANYTHING: Self = Self {
        log: true,
        outbox: true,
        copies: true,
        ended: true,
        timers: Some(i64::MIN),
        placement: true,
        jobs: true,
    };
}

impl Wakes {
    /// Wakes whom it concerns in this process.
    pub(crate) fn tell(&self, signal: Signal) {
        let outbox = signal.outbox || signal.ended && self.held_back.load(Ordering::SeqCst);
        let sooner = |at: i64| at < self.asleep_until_ms.load(Ordering::SeqCst);
        let loops = [
            (signal.log, &self.log),
            (outbox, &self.outbox),
            (signal.copies, &self.copies),
            (signal.timers.is_some_and(sooner), &self.timers),
            (signal.placement, &self.placement),
            (signal.jobs, &self.jobs),
        ];
        loops.into_iter().filter(|(woken, _)| *woken).for_each(|(_, waiting)| waiting.notify_one());
    }

    /// Puts the notification of other engines into the transaction; one, and only where they have something to read.
    pub(crate) async fn tell_others(&self, tx: &impl ConnectionTrait, signal: Signal) -> Result<(), DbErr> {
        if tx.get_database_backend() != DbBackend::Postgres || !(signal.log || signal.outbox) {
            return Ok(());
        }
        let payload = format!("{} {}", self.engine, signal.for_others());
        let notify = "SELECT pg_notify($1, $2)";
        let values = [CHANNEL.into(), payload.into()];
        tx.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, notify, values)).await.map(drop)
    }

    fn told_by_others(&self, signal: Signal) {
        self.others.send_modify(|count| *count += 1);
        self.tell(signal);
    }

    fn heard(&self, payload: &str) {
        let (engine, what) = payload.split_once(' ').unwrap_or((payload, "outbox"));
        if engine != self.engine.to_string() {
            self.told_by_others(Signal::from_another(what));
        }
    }
}

/// Hears the commits of other engines until `cancel` fires. A SQLite file has one engine, and nobody to be heard.
pub(crate) async fn listen(parts: Parts, cancel: CancellationToken) {
    if parts.database.backend != DbBackend::Postgres {
        return;
    }
    let listening = async {
        loop {
            if let Err(error) = hear(&parts).await {
                tracing::warn!(%error, "commits of other engines are not heard; polls find them meanwhile");
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    cancel.run_until_cancelled(listening).await;
}

async fn hear(parts: &Parts) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(parts.database.reader.get_postgres_connection_pool()).await?;
    listener.listen(CHANNEL).await?;
    parts.wakes.told_by_others(Signal::ANYTHING);
    loop {
        match listener.try_recv().await? {
            Some(told) => parts.wakes.heard(told.payload()),
            None => parts.wakes.told_by_others(Signal::ANYTHING), // the connection was lost, and is back
        }
    }
}
