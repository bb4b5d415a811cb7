//! One thing at a time for each session: a command, or a look at what changed by itself.
//!
//! Whoever has the turn looks at the world and publishes before the next one may, so that reports on a session leave in
//! the order in which they were true.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as Lock, OwnedMutexGuard};
use uuid::Uuid;

#[derive(Default)]
pub(super) struct Turns {
    locks: Mutex<HashMap<Uuid, Arc<Lock<()>>>>,
}

/// The turn of one session; the next in line has it when this is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    session: Uuid,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    fn locks(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Lock<()>>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn, first come first served.
    pub(super) async fn take(&self, session: Uuid) -> Turn<'_> {
        let lock = self.locks().entry(session).or_default().clone();
        Turn { turns: self, session, guard: Some(lock.lock_owned().await) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut locks = self.turns.locks();
        if locks.get(&self.session).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_session_has_one_turn_and_leaves_nothing_behind() {
        let (turns, id) = (Turns::default(), Uuid::new_v4());
        let first = turns.take(id).await;
        let second = turns.take(id);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(turns.take(Uuid::new_v4()).await);
        drop(first);
        drop(second.await);
        assert!(turns.locks().is_empty());
    }
}
