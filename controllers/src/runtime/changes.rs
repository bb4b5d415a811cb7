//! Sessions that change by themselves: each is looked at when its lock is free, and then reported.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use streams::tasks::{Task, panic_message};
use streams::wire::{Scope, SessionState};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Controller;
use crate::driver::{Observed, retryable};

/// Tries to look at a session, if each panics; then only its next change is looked at.
const LOOKS_MAX: usize = 5;
/// Pause before another try.
const PAUSE: Duration = Duration::from_millis(200);

impl Controller {
    /// Waits for changes until it is cancelled, and then for the looks under way. A session that is being worked on holds
    /// up only itself.
    pub(super) async fn follow_changes(self: Arc<Self>, task: Task) {
        let (cancel, mut looks) = (task.cancel().clone(), JoinSet::new());
        for session in self.unlooked.all() {
            looks.spawn(self.clone().look_until_reported(session, task.clone())); // left over from a run that panicked
        }
        while let Some(session) = cancel.run_until_cancelled(self.driver.changed()).await {
            self.unlooked.add(session);
            while looks.try_join_next().is_some() {}
            looks.spawn(self.clone().look_until_reported(session, task.clone()));
        }
        while looks.join_next().await.is_some() {}
    }

    /// Looks at a session; again if that panics, so that no change is lost.
    async fn look_until_reported(self: Arc<Self>, session: Uuid, task: Task) {
        for _ in 0..LOOKS_MAX {
            let look = AssertUnwindSafe(task.work(self.look(session))).catch_unwind();
            let Err(panic) = look.await else { return };
            let cause = panic_message(panic.as_ref());
            tracing::error!(session.id = %session, cause, "a look at a session panicked");
            self.unlooked.add(session);
            tokio::time::sleep(PAUSE).await;
        }
        self.unlooked.remove(session);
    }

    async fn look(&self, session: Uuid) {
        let _turn = self.steps.lock(session).await;
        if !self.unlooked.remove(session) {
            return; // a look that began after this change has reported it
        }
        let observed = match self.driver.observe(session).await {
            Ok(Some(observed)) => observed,
            Ok(None) => match self.vanished(session) {
                Some(observed) => observed,
                None => return,
            },
            Err(failure) => {
                tracing::warn!(session.id = %session, error = %failure.message, "a change could not be looked at");
                return;
            }
        };
        let status = self.reporter.status(&observed, None);
        if self.reporter.session(&status).await.is_ok() {
            tracing::info!(session.id = %session, session.status = observed.state.as_str(), "changed by itself");
        }
    }

    /// A session that the platform has no more, although nobody deleted it.
    fn vanished(&self, session: Uuid) -> Option<Observed> {
        let last = self.seen.last(session).filter(|last| !last.deleted)?;
        let failure = retryable("vanished", "the platform does not have it any more, and nobody deleted it here");
        let failure = Some(failure.of(Scope::Session));
        Some(Observed { failure, ..Observed::bare(session, last.generation, SessionState::Failed) })
    }
}
