//! What a commit wakes: the loops of this engine at once, and those of other engines on the same PostgreSQL by NOTIFY.
//!
//! A signal carries no data: whoever is woken reads the store again, with a slow poll behind it. Other engines are told after a commit,
//! of all commits since they were told last in one word: a notification inside the transaction would make every commit wait for one
//! lock of the server. While the listener was away, signals were missed; so it wakes everybody when it comes back.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait, DbBackend, Statement, sqlx};
use streams::tasks::Task;
use tokio::sync::{Notify, watch};
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
    /// A controller has room again that something waits for.
    pub room: Notify,
    /// Whether anything is known to wait for room, as a number that grows whenever something comes to: 0 where nothing does.
    awaited: AtomicU64,
    /// A job waits to be walked.
    pub jobs: Notify,
    /// The log has grown.
    pub(crate) log: Notify,
    /// What other engines are to be told.
    news: AtomicU8,
    /// There is some.
    untold: Notify,
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
            room: Notify::new(),
            awaited: AtomicU64::new(1), // nobody looked yet
            jobs: Notify::new(),
            log: Notify::new(),
            news: AtomicU8::new(0),
            untold: Notify::new(),
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
    /// Commands have ended or were begun, which matters while some are held back.
    ended: bool,
    /// The earliest timer that was set.
    timers: Option<i64>,
    placement: bool,
    /// Places became free.
    freed: bool,
    jobs: bool,
}

impl Signal {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let &Outcome { outbox, copies, ended, timers, placement, freed, jobs, .. } = outcome;
        Self { log: outcome.witness.is_some(), outbox, copies, ended, timers, placement, freed, jobs }
    }

    /// What another engine is told: copies, timers, placement and jobs stay with the engine that has them in hand. Where commands
    /// ended there may be room again, and whichever word came last, they may have.
    fn from_another(what: &str) -> Self {
        let (outbox, ended) = (what == "outbox", what == "ended");
        let freed = outbox || ended;
        Self { log: true, outbox, copies: false, ended, timers: None, placement: false, freed, jobs: false }
    }

    /// What other engines are told, as a number: of two the greater one is all that both say. 0: nothing.
    const fn for_others(self) -> u8 {
        match self {
            Self { outbox: true, .. } => 3,
            Self { ended: true, .. } => 2,
            Self { log: true, .. } => 1,
            _ => 0,
        }
    }

    /// After a time without signals anything may have happened.
    pub(crate) const ANYTHING: Self = Self {
        log: true,
        outbox: true,
        copies: true,
        ended: true,
        timers: Some(i64::MIN),
        placement: true,
        freed: true,
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
            (signal.freed && self.awaited() != 0, &self.room),
            (signal.jobs, &self.jobs),
        ];
        loops.into_iter().filter(|(woken, _)| *woken).for_each(|(_, waiting)| waiting.notify_one());
    }

    /// Something came to wait for room; said before the commit that did it is told.
    pub(crate) fn room_is_awaited(&self) {
        self.awaited.fetch_add(1, Ordering::SeqCst);
    }

    /// What is known to wait for room; see [`Wakes::room_was_looked_for`].
    pub(crate) fn awaited(&self) -> u64 {
        self.awaited.load(Ordering::SeqCst)
    }

    /// A look that began at this number has found something waiting, or nothing. What came to wait meanwhile stays known.
    pub(crate) fn room_was_looked_for(&self, began: u64, waiting: bool) {
        if waiting {
            self.awaited.fetch_max(1, Ordering::SeqCst);
        } else {
            let _ = self.awaited.compare_exchange(began, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Other engines are to hear of this.
    pub(crate) fn tell_others(&self, signal: Signal) {
        let what = signal.for_others();
        if what > 0 {
            self.news.fetch_max(what, Ordering::SeqCst);
            self.untold.notify_one();
        }
    }

    /// Something was committed, and what is not known any more: every loop and whoever waits for a session looks again.
    pub(crate) fn tell_everything(&self) {
        self.told_by_others(Signal::ANYTHING);
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

/// Tells other engines of this one's commits until the task is to end. What cannot be told they find by their polls.
pub(crate) async fn tell(parts: Parts, task: Task) {
    while task.cancel().run_until_cancelled(parts.wakes.untold.notified()).await.is_some() {
        let what = match parts.wakes.news.swap(0, Ordering::SeqCst) {
            0 => continue,
            1 => "log",
            2 => "ended",
            _ => "outbox",
        };
        let values = [CHANNEL.into(), format!("{} {what}", parts.wakes.engine).into()];
        let notify = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_notify($1, $2)", values);
        if let Err(error) = task.round(parts.database.reader.execute_raw(notify)).await {
            tracing::debug!(%error, "other engines find what was committed by their polls");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Hears the commits of other engines until the task is to end. A SQLite file has one engine, and nobody to be heard.
pub(crate) async fn listen(parts: Parts, task: Task) {
    let listening = async {
        loop {
            if let Err(error) = task.round(hear(&parts)).await {
                tracing::warn!(%error, "commits of other engines are not heard; polls find them meanwhile");
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    task.cancel().run_until_cancelled(listening).await;
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
