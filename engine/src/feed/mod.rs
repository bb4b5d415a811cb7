//! The live feed: every row of the log, once, in an order in which nothing appears behind a reader.
//!
//! One tail a process reads new rows, woken by commits, and puts them into a ring that all watchers read; without a watcher it
//! rests. A watcher from the past reads pages from SQL until it has reached the ring ([`Watcher`]). Who is left behind by
//! the ring reads from SQL again, and who is left far behind is cut, with a position to go on from: nothing is skipped, and
//! memory is the ring, however many watch.
//!
//! `position` is where a reader stands, `log` the order and the pages, `filter` what is wanted, `owners` whose a row is.

mod filter;
mod horizon;
mod item;
mod log;
mod metrics;
mod owners;
mod position;
mod watcher;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr};
use streams::tasks::Task;
use tokio::sync::{Mutex, broadcast};

pub use filter::{BadPattern, Filter, Pattern};
pub(crate) use horizon::{last_of, raise as raise_horizon};
pub use item::Item;
pub use log::Error;
pub(crate) use metrics::Metrics;
pub use position::{After, Position, Unreadable};
pub use watcher::{Cut, Told, Watcher};

use crate::ReadError;
use crate::signal::Wakes;
use log::Log;

/// Rows that the ring holds. A watcher that is four rings behind is cut.
pub const RING: usize = 4_096;
/// The slow poll behind the wake-ups.
const POLL: Duration = Duration::from_secs(2);
/// The first and the longest pause while rows wait for transactions that nobody tells the end of.
const HELD: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(500));
/// The pause after the database did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// The feed of one engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    log: Log,
    metrics: Metrics,
    /// None while nobody watches.
    tail: Mutex<Option<Tail>>,
    stopping: AtomicBool,
}

/// How far the ring has got. Joining it and going on with it exclude each other, so that a watcher knows where it came in.
#[derive(Debug)]
struct Tail {
    at: Position,
    ring: broadcast::Sender<Arc<Item>>,
}

/// A place at the ring: all rows after `at` come through it.
struct Joined {
    ring: broadcast::Receiver<Arc<Item>>,
    at: Position,
}

impl Feed {
    pub(crate) fn new(db: DatabaseConnection, metrics: Metrics) -> Self {
        let (tail, stopping) = (Mutex::new(None), AtomicBool::new(false));
        Self(Arc::new(Shared { log: Log::new(db), metrics, tail, stopping }))
    }

    /// Begins to watch: after a row, or from now on.
    ///
    /// # Errors
    /// [`Error`]; with `Gone` read the state anew, and watch from now on.
    pub async fn watch(&self, filter: Filter, after: Option<After>) -> Result<Watcher, Error> {
        let after = match after {
            Some(after) => Some(self.log().find(after).await?),
            None => None,
        };
        Watcher::new(self.clone(), filter, after).await
    }

    /// The oldest position that can be gone on from.
    ///
    /// # Errors
    /// What the database says.
    pub async fn oldest(&self) -> Result<Position, DbErr> {
        self.log().oldest().await
    }

    /// The newest position that can be watched after. A list that is read afterwards contains everything up to it, and
    /// perhaps more: what follows the position is applied by the revision of each row.
    ///
    /// # Errors
    /// What the database says.
    pub async fn position(&self) -> Result<Position, ReadError> {
        Ok(self.log().end().await?)
    }

    fn log(&self) -> &Log {
        &self.0.log
    }

    fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Why the ring ended.
    fn why_closed(&self) -> Cut {
        if self.0.stopping.load(Ordering::Acquire) { Cut::Stopping } else { Cut::Gone }
    }

    async fn join(&self) -> Result<Joined, DbErr> {
        let mut tail = self.0.tail.lock().await;
        if let Some(Tail { at, ring }) = &*tail {
            return Ok(Joined { ring: ring.subscribe(), at: *at });
        }
        let at = self.log().end().await?;
        let (sender, ring) = broadcast::channel(RING);
        if !self.0.stopping.load(Ordering::Acquire) {
            *tail = Some(Tail { at, ring: sender }); // else the sender is dropped here, and the watcher told so
        }
        Ok(Joined { ring, at })
    }

    /// Keeps the ring going until `cancel` fires.
    pub(crate) async fn run(self, wakes: Arc<Wakes>, task: Task) {
        let mut pause = POLL;
        loop {
            tokio::select! {
                () = wakes.log.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = task.cancel().cancelled() => break,
            }
            pause = match task.round(self.round()).await {
                Ok(None) => POLL,
                Ok(Some(_)) if pause > HELD.1 => HELD.0,
                Ok(Some(_)) => (pause * 2).min(HELD.1),
                Err(error) => {
                    tracing::warn!(%error, "the feed cannot read the log; it goes on from where it is");
                    PAUSE
                }
            };
        }
        self.0.stopping.store(true, Ordering::Release);
        self.0.tail.lock().await.take();
    }

    /// Brings the ring up to the end of the log; answers since when rows wait that are not settled.
    async fn round(&self) -> Result<Option<i64>, ReadError> {
        let mut slot = self.0.tail.lock().await;
        let Some(tail) = slot.as_mut().filter(|tail| tail.ring.receiver_count() > 0) else {
            *slot = None;
            self.metrics().held_back(None);
            return Ok(None);
        };
        loop {
            let page = match self.log().after(tail.at).await {
                Ok(page) => page,
                Err(Error::Database(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, feed.position = %tail.at, "the log has lost its last row: every watcher is cut");
                    *slot = None;
                    return Ok(None);
                }
            };
            self.metrics().rows.inc_by(page.items.len() as u64);
            for item in page.items {
                tail.at = item.position;
                let _ = tail.ring.send(item); // the last watcher may have gone meanwhile
            }
            if page.last {
                self.metrics().held_back(page.held_since_ms);
                return Ok(page.held_since_ms);
            }
        }
    }
}
