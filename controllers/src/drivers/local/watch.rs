//! A session's process is watched from its start, or its adoption, to its end.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    adopt,
    process::{self, Exit, Process},
    readiness,
    session::Session,
    state::{Identity, Phase},
};
use crate::driver::retryable;

impl Session {
    /// Watches a process that is this session's; `None` where it is gone.
    pub(super) fn adopt(self: &Arc<Self>, identity: Identity) -> Option<Process> {
        let handle = process::handle(identity)?;
        let (ended, exit) = watch::channel(None);
        let process = Process { identity, exit };
        self.now().process = Some(process.clone());
        let (cancelled, session) = (self.shared.closed.clone().cancelled_owned(), Arc::downgrade(self));
        tokio::spawn(async move {
            let exit = tokio::select! {
                exit = process::wait(identity, handle) => exit.unwrap_or(Exit::Unseen),
                () = cancelled => return,
            };
            ended.send_replace(Some(exit));
            if let Some(session) = session.upgrade() {
                session.lost(identity, exit).await;
            }
        });
        Some(process)
    }

    /// A process ended. Where a step is under way the step deals with it; what is left after it happened by itself.
    async fn lost(&self, identity: Identity, exit: Exit) {
        let _turn = self.turn.lock().await;
        let ours = {
            let state = &self.now().state;
            state.process == Some(identity) && matches!(state.phase, Phase::Starting | Phase::Running)
        };
        if ours {
            adopt::end_marked(self.shared.world_id, |session| session == self.id);
            self.died(&format!("the process {exit}"));
        }
    }

    /// Notes that its process ended by itself, and says so.
    pub(super) fn died(&self, what: &str) {
        let failure = retryable("process_exited", format!("{what}{}", readiness::tail(&self.log())));
        self.now().process = None;
        let saved = self.change(|state| {
            (state.phase, state.process, state.failure) = (Phase::Failed, None, Some(failure));
        });
        if let Err(e) = saved {
            tracing::error!(session.id = %self.id, error = %e.message, "the end of a process could not be written down");
        }
        self.connected(0);
        self.shared.changed(self.id);
    }
}
