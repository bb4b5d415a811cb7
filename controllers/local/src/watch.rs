//! A session's process is watched from its start, or its adoption, to its end.

use std::{sync::Arc, time::Duration};

use streams::wire::Scope;
use tokio::{sync::watch, time::sleep};

use super::{
    listener::{self, Listener},
    policy, probe,
    process::{self, Exit, Process},
    readiness,
    session::Session,
    state::{Identity, Phase},
};
use controllers::driver::user_error;

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
                exit = process::wait(handle) => exit.unwrap_or(Exit::Unseen),
                () = cancelled => return,
            };
            ended.send_replace(Some(exit));
            if let Some(session) = session.upgrade() {
                session.lost(identity, exit).await;
            }
        });
        Some(process)
    }

    /// Checks a process that is ready for as long as it lives, where its template asks for that.
    pub(super) fn check_liveness(self: &Arc<Self>, identity: Identity) {
        let Some(checks) = policy::checks(&self.spec()) else { return };
        let (closed, session) = (self.shared.closed.clone(), Arc::downgrade(self));
        tokio::spawn(async move {
            let mut failed = 0;
            while closed.run_until_cancelled(sleep(checks.interval)).await.is_some() {
                let Some(session) = session.upgrade() else { return };
                if !session.runs(identity) {
                    return;
                }
                let Err(why) = session.check(&checks).await else {
                    failed = 0;
                    continue;
                };
                failed += 1;
                if failed >= checks.failures {
                    return session.unwell(identity, &format!("failed {failed} liveness checks: {why}")).await;
                }
            }
        });
    }

    fn runs(&self, identity: Identity) -> bool {
        let now = self.now();
        now.state.process == Some(identity) && matches!(now.state.phase, Phase::Starting | Phase::Running)
    }

    async fn check(&self, checks: &policy::Checks) -> Result<(), String> {
        let Some(port) = self.live_port() else { return Ok(()) };
        let asked = probe::ask(&self.shared.probes, port, checks.path.as_deref(), checks.timeout).await;
        asked.map_err(|e| e.to_string())?;
        match listener::of(port, &self.scope().living()) {
            Listener::Foreign => Err(readiness::taken(port).message),
            Listener::Ours | Listener::Unknown => Ok(()),
        }
    }

    async fn unwell(self: &Arc<Self>, identity: Identity, why: &str) {
        let _turn = self.turn.lock().await;
        if self.runs(identity) {
            self.ended(format!("the process {why}"), None).await;
        }
    }

    /// A process ended. Where a step is under way the step deals with it; what is left after it happened by itself.
    async fn lost(self: &Arc<Self>, identity: Identity, exit: Exit) {
        let _turn = self.turn.lock().await;
        if self.runs(identity) {
            self.ended(format!("the process {exit}"), Some(exit)).await;
        }
    }

    /// It has more processes than it may have: all of them are ended.
    pub(super) async fn overran(self: &Arc<Self>, identity: Identity, processes: u64) {
        let _turn = self.turn.lock().await;
        if !self.runs(identity) {
            return;
        }
        let most = self.shared.config.processes_max;
        if let Err(e) = self.end(Duration::ZERO).await {
            tracing::error!(session.id = %self.id, error = %e.message, "a session with too many processes lives on");
        }
        let message = format!("it had {processes} processes, and may have {most}; all of them were ended");
        self.fail(user_error("too_many_processes", message).of(Scope::Session));
    }
}
