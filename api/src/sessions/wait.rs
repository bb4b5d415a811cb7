//! What happens when a caller waits for a session to get where it was asked to be.
//!
//! The session is watched from before it is asked for anything, and the engine hands a waiter the row with each commit that
//! changes it. Of another engine's commits it only hears that there are some, and reads its one row then, but no more often than
//! every tenth of a second, with a slow look behind it. There is room for so many waiters and no more; the place is taken before
//! anything is accepted, and given back when the caller goes away, because then the future is dropped. A server that stops answers
//! its waiters at once, as if their time were over: what was accepted goes on, and they can ask another server about it.

use std::sync::Arc;
use std::time::Duration;

use engine::store::session;
use engine::{Engine, News, Watch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem, database};

const DEFAULT: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// The least time between two reads of one waiter.
const PAUSE: Duration = Duration::from_millis(100);
/// How soon a waiter sees what another engine wrote.
const LOOK: Duration = Duration::from_secs(1);

/// Room for those who wait.
#[derive(Clone)]
pub(super) struct Waiters {
    room: Arc<Semaphore>,
    /// Fires when the server stops.
    stopping: CancellationToken,
}

/// A place among them, and what it is waited for.
pub(super) struct Wait {
    goal: &'static str,
    patience: Duration,
    stopping: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Waiters {
    /// For so many at a time, none of whom waits on once `stopping` fires.
    pub(super) fn new(room: usize, stopping: CancellationToken) -> Self {
        Self { room: Arc::new(Semaphore::new(room)), stopping }
    }

    /// Takes a place, if the caller wants to wait at all.
    pub(super) fn enter(&self, goal: Option<&'static str>, timeout: Option<&str>) -> Result<Option<Wait>, Problem> {
        let Some(goal) = goal else {
            let rule = "means nothing without wait";
            let without = timeout.map(|_| Problem::parameter("timeout", rule, "add wait, or leave timeout out"));
            return without.map_or(Ok(None), Err);
        };
        let patience = timeout.map_or(Ok(DEFAULT), patience)?;
        let place = self.room.clone().try_acquire_owned().map_err(|_| {
            let detail = "too many requests are waiting; nothing was accepted: ask again shortly, or without wait";
            Problem::new(Kind::Unavailable, detail).after(Duration::from_secs(5))
        })?;
        Ok(Some(Wait { goal, patience, stopping: self.stopping.clone(), _place: place }))
    }
}

fn patience(text: &str) -> Result<Duration, Problem> {
    let parsed = streams::duration::parse(text).ok().filter(|wait| (SHORTEST..=LONGEST).contains(wait));
    parsed.ok_or_else(|| {
        let rule = format!("{text:?} is not a duration from 1s to 5m");
        Problem::parameter("timeout", rule, "write it as 30s or 2m; the server's own limit is 5m")
    })
}

impl Wait {
    /// Whether the session is where it is waited for.
    pub(super) fn reached(&self, row: &session::Model) -> bool {
        row.status == self.goal
    }

    /// It is there, or will not get there: it failed, or somebody wants something else by now.
    fn over(&self, row: &session::Model) -> bool {
        self.reached(row) || row.status == "failed" || row.desired != self.goal
    }

    /// The session once the wait is over, whatever ended it.
    pub(super) async fn until(
        &self,
        engine: &Engine,
        mut watch: Watch,
        mut row: session::Model,
    ) -> Result<session::Model, Problem> {
        let begun = Instant::now();
        let deadline = begun + self.patience;
        let mut look = if watch.has_news() { begun + LOOK } else { begun }; // what was committed before it was watched is read
        while !self.over(&row) && Instant::now() < deadline && !self.stopping.is_cancelled() {
            tokio::select! {
                () = self.stopping.cancelled() => break,
                news = watch.next() => match news {
                    News::Row(told) => row = *told,
                    News::Others => look = look.min(Instant::now() + PAUSE),
                },
                () = sleep_until(look.min(deadline)) => {
                    let read = engine::queries::session(engine.reader(), row.session_id).await.map_err(database)?;
                    let Some(read) = read else { break };
                    row = read;
                    look = Instant::now() + LOOK;
                }
            }
        }
        Ok(row)
    }
}
