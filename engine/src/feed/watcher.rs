//! One watcher: reads the past from SQL until it has reached the ring, and from then on the ring.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::filter::Filter;
use super::item::Item;
use super::log::Error;
use super::position::Position;
use super::{Feed, Joined, RING};

/// Rows that a watcher may have missed of the ring without being cut: a burst, which a reader makes up for.
const BURST: u64 = 3 * RING as u64;

/// What a watcher is told.
#[derive(Debug)]
pub enum Told {
    /// A row that passes its filter.
    Item(Arc<Item>),
    /// Nothing more; [`Watcher::position`] is where to go on, here or at another server.
    Cut(Cut),
}

/// Why a watcher is told nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It read more slowly than things happened.
    Slow,
    /// The server stops.
    Stopping,
    /// The log is not the one any more that it was reading.
    Gone,
    /// The database does not answer.
    Unavailable,
}

impl Cut {
    /// The stable word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Stopping => "stopping",
            Self::Gone => "gone",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Somebody who watches.
#[derive(Debug)]
pub struct Watcher {
    feed: Feed,
    filter: Filter,
    at: Position,
    waiting: VecDeque<Arc<Item>>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Reads pages.
    Past,
    /// Reads pages up to where the ring began for it.
    Joining(Receiver<Arc<Item>>, Position),
    /// Reads the ring.
    Live(Receiver<Arc<Item>>),
}

impl Watcher {
    pub(super) async fn new(feed: Feed, filter: Filter, after: Option<Position>) -> Result<Self, Error> {
        let (at, phase) = match after {
            Some(at) => (at, Phase::Past),
            None => {
                let Joined { ring, at } = feed.join().await?;
                (at, Phase::Live(ring))
            }
        };
        feed.metrics().watchers.inc();
        let mut watcher = Self { feed, filter, at, waiting: VecDeque::new(), phase };
        if after.is_some() {
            watcher.read_on().await?; // so that a position of no use is refused at once
        }
        Ok(watcher)
    }

    /// After which row it stands: what it has been told, and what its filter let pass by.
    #[must_use]
    pub fn position(&self) -> Position {
        self.at
    }

    /// The next row for it. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(told) = self.ready() {
                return told;
            }
            if let Err(cut) = self.wait().await {
                return self.cut(cut);
            }
        }
    }

    /// What it can be told without waiting.
    pub fn ready(&mut self) -> Option<Told> {
        loop {
            while let Some(item) = self.waiting.pop_front() {
                if item.position <= self.at {
                    continue; // seen in the past already
                }
                self.at = item.position;
                if self.filter.passes(&item) {
                    return Some(Told::Item(item));
                }
            }
            let Phase::Live(ring) = &mut self.phase else { return None };
            match ring.try_recv() {
                Ok(item) => self.waiting.push_back(item),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Lagged(rows)) => match self.fall_back(rows) {
                    Ok(()) => return None,
                    Err(cut) => return Some(self.cut(cut)),
                },
                Err(TryRecvError::Closed) => return Some(self.cut(self.feed.why_closed())),
            }
        }
    }

    fn cut(&self, cut: Cut) -> Told {
        self.feed.metrics().cut(cut);
        Told::Cut(cut)
    }

    /// Waits until there is more, at the ring or in the past.
    async fn wait(&mut self) -> Result<(), Cut> {
        if let Phase::Live(ring) = &mut self.phase {
            match ring.recv().await {
                Ok(item) => self.waiting.push_back(item),
                Err(RecvError::Lagged(rows)) => self.fall_back(rows)?,
                Err(RecvError::Closed) => return Err(self.feed.why_closed()),
            }
            return Ok(());
        }
        self.read_on().await.map_err(|error| match error {
            Error::Database(error) => {
                tracing::warn!(%error, "the feed's history cannot be read");
                Cut::Unavailable
            }
            Error::Gone | Error::Unknown(_) => Cut::Gone,
        })
    }

    /// The ring has gone on without it. After a burst it reads the missing rows from SQL, as it would if it were cut and came
    /// back; who is much further behind does not read, and is told so.
    fn fall_back(&mut self, missed: u64) -> Result<(), Cut> {
        if missed > BURST {
            return Err(Cut::Slow);
        }
        self.phase = Phase::Past;
        Ok(())
    }

    /// One page of the past, and the step towards the ring where it was the last.
    async fn read_on(&mut self) -> Result<(), Error> {
        let page = self.feed.log().history(self.at).await?;
        let reached = page.items.last().map_or(self.at, |item| item.position);
        self.waiting.extend(page.items);
        let phase = std::mem::replace(&mut self.phase, Phase::Past);
        self.phase = match phase {
            Phase::Past if page.last => {
                let Joined { ring, at } = self.feed.join().await?;
                if reached >= at { Phase::Live(ring) } else { Phase::Joining(ring, at) }
            }
            // rows that the ring holds and the page held, too, are passed over by their position
            Phase::Joining(ring, at) if reached >= at => Phase::Live(ring),
            same => same,
        };
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.feed.metrics().watchers.dec();
    }
}
