//! One step at a time for each session, and which steps a newer command cuts short.
//!
//! Whoever has a session's lock looks at the world and publishes before the next one may, so that reports on a session leave in
//! the order in which they were true. Every command is entered when it arrives, before it waits for anything: a newer
//! generation cuts the start of an older one at once, wherever that stands, and a forced delete cuts whatever is older. What
//! stops, saves or deletes is otherwise left to its end. A cut step reports nothing: the newer command's report does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as Lock, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A newer command took the session over.
#[derive(Debug)]
pub(super) struct Cut;

#[derive(Default)]
pub(super) struct Steps {
    sessions: Mutex<HashMap<Uuid, Session>>,
}

#[derive(Default)]
struct Session {
    lock: Arc<Lock<()>>,
    arrived: Vec<Arrived>,
}

/// A command that is not done with.
struct Arrived {
    number: u64,
    asked: Asked,
    cut: CancellationToken,
}

/// What a command asks, as far as it matters to others of its session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) generation: i64,
    /// It brings something up, so that a newer one may end it.
    pub(super) starts: bool,
    /// It ends whatever is older.
    pub(super) force: bool,
}

impl Asked {
    fn cuts(&self, older: &Self) -> bool {
        older.generation < self.generation && (older.starts || self.force)
    }
}

/// The lock of one session; the next in line has it when this is dropped.
pub(super) struct Turn<'a> {
    steps: &'a Steps,
    session: Uuid,
    guard: Option<OwnedMutexGuard<()>>,
}

/// One command from its arrival to its end.
pub(super) struct Step<'a> {
    steps: &'a Steps,
    session: Uuid,
    number: u64,
    cut: CancellationToken,
}

impl Steps {
    fn sessions(&self) -> MutexGuard<'_, HashMap<Uuid, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a session's lock, first come first served.
    pub(super) async fn lock(&self, session: Uuid) -> Turn<'_> {
        let lock = self.sessions().entry(session).or_default().lock.clone();
        Turn { steps: self, session, guard: Some(lock.lock_owned().await) }
    }

    /// Enters a command, and cuts what it overtakes; where a newer one is here already, that may be this one.
    pub(super) fn arrive(&self, session: Uuid, asked: Asked) -> Step<'_> {
        let mut sessions = self.sessions();
        let arrived = &mut sessions.entry(session).or_default().arrived;
        let cut = CancellationToken::new();
        for other in arrived.iter() {
            if asked.cuts(&other.asked) {
                other.cut.cancel();
            }
            if other.asked.cuts(&asked) {
                cut.cancel();
            }
        }
        let number = arrived.last().map_or(0, |last| last.number + 1);
        arrived.push(Arrived { number, asked, cut: cut.clone() });
        Step { steps: self, session, number, cut }
    }

    fn tidy(sessions: &mut HashMap<Uuid, Session>, session: Uuid) {
        let unused = |one: &Session| one.arrived.is_empty() && Arc::strong_count(&one.lock) == 1;
        if sessions.get(&session).is_some_and(unused) {
            sessions.remove(&session);
        }
    }
}

impl Step<'_> {
    /// Does something unless, or until, the step is cut.
    pub(super) async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Result<T, Cut> {
        self.cut.run_until_cancelled(work).await.ok_or(Cut)
    }

    /// The session's lock for this step.
    pub(super) async fn lock(&self) -> Result<Turn<'_>, Cut> {
        self.unless_cut(self.steps.lock(self.session)).await
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        drop(self.guard.take());
        Steps::tidy(&mut self.steps.sessions(), self.session);
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        let mut sessions = self.steps.sessions();
        if let Some(session) = sessions.get_mut(&self.session) {
            session.arrived.retain(|arrived| arrived.number != self.number);
        }
        Steps::tidy(&mut sessions, self.session);
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Steps};
    use uuid::Uuid;

    const fn asked(generation: i64, starts: bool, force: bool) -> Asked {
        Asked { generation, starts, force }
    }

    #[tokio::test]
    async fn a_session_has_one_lock_and_leaves_nothing_behind() {
        let (steps, id) = (Steps::default(), Uuid::new_v4());
        let first = steps.lock(id).await;
        let second = steps.lock(id);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(steps.lock(Uuid::new_v4()).await);
        let step = steps.arrive(id, asked(1, true, false));
        drop(first);
        drop(second.await);
        assert_eq!(steps.sessions().len(), 1, "a command is still here");
        drop(step);
        assert!(steps.sessions().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_for_a_lock_leaves_nothing_behind() {
        let (steps, id) = (Steps::default(), Uuid::new_v4());
        let step = steps.arrive(id, asked(1, true, false));
        let first = steps.lock(id).await;
        {
            let second = step.lock();
            tokio::pin!(second);
            assert!(futures::poll!(&mut second).is_pending());
        }
        drop((first, step));
        assert!(steps.sessions().is_empty());
    }

    #[test]
    fn a_newer_generation_cuts_starts_and_force_cuts_all_that_is_older() {
        let table = [
            // older, newer, whether the older one is cut
            (asked(1, true, false), asked(2, false, false), true),
            (asked(1, true, false), asked(2, true, false), true),
            (asked(1, false, false), asked(2, true, false), false),
            (asked(1, false, false), asked(2, false, false), false),
            (asked(1, false, false), asked(2, false, true), true),
            (asked(2, true, false), asked(2, true, false), false),
            (asked(2, false, false), asked(2, false, true), false),
        ];
        for (older, newer, is_cut) in table {
            for late in [false, true] {
                let (steps, id) = (Steps::default(), Uuid::new_v4());
                let (first, second) = if late { (newer, older) } else { (older, newer) };
                let (first, second) = (steps.arrive(id, first), steps.arrive(id, second));
                let (old, new) = if late { (&second, &first) } else { (&first, &second) };
                assert_eq!(
                    (old.cut.is_cancelled(), new.cut.is_cancelled()),
                    (is_cut, false),
                    "{older:?} {newer:?} {late}"
                );
            }
        }
    }
}
