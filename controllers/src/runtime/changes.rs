//! What changes by itself is looked at when it is that session's turn, and then reported.

use streams::wire::{Scope, SessionState};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use std::sync::Arc;

use super::Controller;
use crate::driver::{Observed, retryable};

impl Controller {
    /// Waits for changes until it is cancelled. A session that is being worked on holds up only itself.
    pub(super) async fn follow_changes(self: Arc<Self>, cancel: CancellationToken) {
        let mut looks = JoinSet::new();
        while let Some(session) = cancel.run_until_cancelled(self.driver.changed()).await {
            while looks.try_join_next().is_some() {}
            let controller = self.clone();
            looks.spawn(async move { controller.look(session).await });
        }
        while looks.join_next().await.is_some() {}
    }

    async fn look(&self, session: Uuid) {
        let _turn = self.steps.lock(session).await;
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

    /// A session that nobody deleted and that is not there any more.
    fn vanished(&self, session: Uuid) -> Option<Observed> {
        let last = self.seen.last(session).filter(|last| !last.deleted)?;
        let failure = retryable("vanished", "the platform does not have it any more, and nobody deleted it here");
        let failure = Some(failure.of(Scope::Session));
        Some(Observed { failure, ..Observed::bare(session, last.generation, SessionState::Failed) })
    }
}
