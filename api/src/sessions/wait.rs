//! Requests that wait for a session to reach a state.
//!
//! The session is watched from before it is changed, and the engine passes a waiter the row with each commit
//! that changes it. Commits of other engines are only signalled, and the row is read then, at most every tenth
//! of a second, with a slow poll to back it up. The number of waiters is limited; a place is reserved before
//! anything is accepted, and freed when the caller disconnects, because that drops the future. A server that
//! stops answers its waiters at once, as if their time were over: accepted work continues, and another server
//! can be asked about it.

use std::sync::Arc;
use std::time::Duration;

use engine::store::session;
use engine::use_cases::{Error, UseCases};
use engine::{News, Watch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem};

const DEFAULT: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// Minimum time between two reads of a waiter.
const PAUSE: Duration = Duration::from_millis(100);
/// Polling interval for changes by other engines.
const LOOK: Duration = Duration::from_secs(1);

/// Limits the number of waiters.
#[derive(Clone)]
pub(super) struct Waiters {
    room: Arc<Semaphore>,
    /// Fires when the server stops.
    stopping: CancellationToken,
}

/// A reserved place, and the state to wait for.
pub(super) struct Wait {
    goal: &'static str,
    patience: Duration,
    stopping: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Waiters {
    /// Permits so many waiters at a time, until `stopping` fires.
    pub(super) fn new(room: usize, stopping: CancellationToken) -> Self {
        Self { room: Arc::new(Semaphore::new(room)), stopping }
    }

    /// Reserves a place if the caller wants to wait.
    pub(super) fn enter(&self, goal: Option<&'static str>, timeout: Option<&str>) -> Result<Option<Wait>, Problem> {
        let Some(goal) = goal else {
            let rule = "has no effect without wait";
            let without = timeout.map(|_| Problem::parameter("timeout", rule, "add wait, or leave timeout out"));
            return without.map_or(Ok(None), Err);
        };
        let patience = timeout.map_or(Ok(DEFAULT), patience)?;
        let place = self.room.clone().try_acquire_owned().map_err(|_| {
            let detail = "too many requests are waiting; nothing was accepted: retry shortly, or without wait";
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
    /// Whether the session is in the requested state.
    pub(super) fn reached(&self, row: &session::Model) -> bool {
        row.status == self.goal
    }

    /// Whether the wait is over: the state is reached or out of reach, because it failed or another request
    /// wants something else.
    fn over(&self, row: &session::Model) -> bool {
        self.reached(row) || row.status == "failed" || row.desired != self.goal
    }

    /// The session at the end of the wait.
    pub(super) async fn until(
        &self,
        acting: &UseCases<'_>,
        mut watch: Watch,
        mut row: session::Model,
    ) -> Result<session::Model, Problem> {
        let begun = Instant::now();
        let deadline = begun + self.patience;
        let mut look = if watch.has_news() { begun + LOOK } else { begun }; // also read what was committed before the watch began
        while !self.over(&row) && Instant::now() < deadline && !self.stopping.is_cancelled() {
            tokio::select! {
                () = self.stopping.cancelled() => break,
                news = watch.next() => match news {
                    News::Row(told) => row = *told,
                    News::Others => look = look.min(Instant::now() + PAUSE),
                },
                () = sleep_until(look.min(deadline)) => {
                    match acting.session(row.session_id).await {
                        Ok(read) => row = read,
                        Err(Error::NotFound { .. } | Error::Denied(_)) => break, // it was pruned
                        Err(error) => return Err(error.into()),
                    }
                    look = Instant::now() + LOOK;
                }
            }
        }
        Ok(row)
    }
}
