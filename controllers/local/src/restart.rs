//! A process that ended by itself: started again within its generation where its template says so, else reported.
//!
//! Meanwhile the session counts as running, with a message that says how often it was started again and why. What exceeds the
//! template's bounds is the session's failure, and the engine's to deal with.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use streams::wire::{self, Failure};

use super::{policy, process::Exit, readiness, session::Session, state::Phase};
use controllers::driver::{Desired, Goal, retryable};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The restarts of this generation, as far as this controller knows.
#[derive(Debug, Default)]
pub(super) struct Restarted {
    at: VecDeque<Instant>,
    message: Option<String>,
}

impl Restarted {
    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Notes one more, and answers how long to wait before it; `None` where the bound is reached.
    fn another(&mut self, restarts: policy::Restarts, why: &str, now: Instant) -> Option<Duration> {
        while self.at.front().is_some_and(|at| now.duration_since(*at) > restarts.window) {
            self.at.pop_front();
        }
        if self.at.len() >= restarts.max as usize {
            return None;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.at.len().min(10)).min(LONGEST_PAUSE);
        self.at.push_back(now);
        self.message = Some(format!("started again, {} of {}: {why}", self.at.len(), restarts.max));
        Some(pause)
    }
}

impl Session {
    /// Its turn is held: deals with the end of the process that ran, for whatever reason.
    pub(super) async fn ended(self: &Arc<Self>, why: String, exit: Option<Exit>) {
        // What a wrapper started gets the time to save that the template gives it.
        if let Err(e) = self.end(self.template_grace()).await {
            tracing::error!(session.id = %self.id, error = %e.message, "not everything of an ended session could be ended");
        }
        let restarts = policy::restarts(&self.spec());
        if !restarts.wants(exit) {
            return self.died(&why);
        }
        let pause = self.now().restarted.another(restarts, &why, Instant::now());
        let Some(pause) = pause else {
            return self.died(&format!("{why}, after {} restarts within {:?}", restarts.max, restarts.window));
        };
        tracing::info!(session.id = %self.id, why, ?pause, "starts a program again");
        self.connected(0);
        self.shared.changed(self.id);
        let (session, closed) = (Arc::downgrade(self), self.shared.closed.clone());
        tokio::spawn(async move {
            if closed.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return; // the next controller finds it ended, and reports that
            }
            if let Some(session) = session.upgrade() {
                let cancelled = closed.cancelled();
                tokio::select! {
                    () = session.start_again() => {}
                    () = cancelled => {}
                }
            }
        });
    }

    async fn start_again(self: &Arc<Self>) {
        let _turn = self.turn.lock().await;
        let desired = {
            let now = self.now();
            let waits = now.state.phase == Phase::Running && now.process.is_none() && !now.gone;
            waits.then(|| Desired {
                session_id: self.id,
                user_id: now.state.user_id.clone(),
                generation: now.state.generation,
                goal: Goal::Running,
                force: false,
                spec: now.state.spec.clone(),
                installation: String::new(), // names here derive from the session alone
            })
        };
        let Some(desired) = desired else { return };
        let started = match self.start(&desired, Phase::Running) {
            Ok(process) => self.settle(&process, desired.generation).await,
            Err(failure) => Err(failure),
        };
        match started {
            Ok(()) => self.shared.changed(self.id),
            Err(failure) if failure.code == "superseded" => {}
            Err(failure) => {
                self.now().state.phase = Phase::Running; // so that another restart finds it waiting
                self.ended_again(failure.message).await;
            }
        }
    }

    /// In a box of a named type: an end leads to a start, which leads to an end.
    fn ended_again(self: &Arc<Self>, why: String) -> BoxFuture<'_, ()> {
        Box::pin(self.ended(why, None))
    }

    /// Notes that its process ended by itself, and says so.
    pub(super) fn died(&self, what: &str) {
        let failure = retryable("process_exited", format!("{what}{}", readiness::tail(&self.log())));
        self.fail(failure.of(wire::Scope::Session));
    }

    /// Notes that it failed by itself, and says so. Also where that cannot be written down: nothing runs any more.
    pub(super) fn fail(&self, failure: Failure) {
        self.now().process = None;
        let saved = self.change(|state| {
            (state.phase, state.process, state.failure) = (Phase::Failed, None, Some(failure.clone()));
        });
        if let Err(e) = saved {
            tracing::error!(session.id = %self.id, error = %e.message, "the end of a process could not be written down");
            let mut now = self.now();
            (now.state.phase, now.state.process, now.state.failure) = (Phase::Failed, None, Some(failure));
        }
        self.shared.homes.release(self.id);
        self.connected(0);
        self.shared.changed(self.id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test fails by panicking

    use super::*;

    #[test]
    fn restarts_are_bounded_within_their_window() {
        let manifest = "{apiVersion: stream.space/v1alpha1, kind: Template, metadata: {name: t}, spec: {displayName: T, local: \
                        {command: [x], restart: {policy: always, max: 2, window: 10s}}}}";
        let template = streams::wire::Manifest::parse_all(manifest).unwrap().pop();
        let restarts = policy::restarts(&controllers::driver::Spec { template, ..Default::default() });
        let (mut restarted, start) = (Restarted::default(), Instant::now());
        let mut at = |seconds| restarted.another(restarts, "it ended", start + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(FIRST_PAUSE));
        assert_eq!(at(1), Some(FIRST_PAUSE * 2));
        assert_eq!(at(2), None);
        assert_eq!(at(11), Some(FIRST_PAUSE * 2));
        assert_eq!(restarted.message(), Some("started again, 2 of 2: it ended"));
    }
}
