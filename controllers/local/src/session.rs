//! One session: its folder, its process, and the steps between its states.
//!
//! Each step first writes down what it is about to do. A controller that dies in the middle, or a caller that gives up,
//! leaves a phase (`starting`, `hibernating`, `deleting`) from which the next call, or the next start, goes on.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use streams::wire::{self, Failure};
use tokio::sync::{Mutex as Turn, watch};
use uuid::Uuid;

use super::{
    Shared,
    helper::log,
    members::Scope,
    policy,
    process::{self, Process},
    remove,
    restart::Restarted,
    scope,
    state::{Identity, Phase, State},
    usage::Usage,
};
use controllers::driver::{Desired, Goal, Observed, Spec, Stage, retryable};

/// The log's writer ends with the last process that writes; what that left in the pipe takes it a moment.
const LOG_PATIENCE: Duration = Duration::from_secs(1);
const LOG_LOOK: Duration = Duration::from_millis(2);

/// What is known now: the state as it is on disk, and what only this run has.
pub(super) struct Now {
    pub(super) state: State,
    pub(super) process: Option<Process>,
    /// It was started, and was not seen to be ready yet.
    pub(super) settling: bool,
    pub(super) restarted: Restarted,
    connections: u32,
    usage: Option<Usage>,
    /// Deleted, and no longer in the table: whoever still holds it looks again.
    pub(super) gone: bool,
}

pub(super) struct Session {
    pub(super) id: Uuid,
    pub(super) folder: PathBuf,
    pub(super) shared: Arc<Shared>,
    /// One step at a time; a step may wait for a process.
    pub(super) turn: Turn<()>,
    /// The newest generation that was asked for: a step for an older one stops waiting for readiness.
    pub(super) wanted: watch::Sender<i64>,
    now: Mutex<Now>,
}

impl Session {
    pub(super) fn new(state: State, shared: Arc<Shared>) -> Arc<Self> {
        let (id, folder) = (state.session_id, shared.folder(state.session_id));
        if let Some(port) = state.port {
            shared.ports.hold(port, id);
        }
        let wanted = watch::Sender::new(state.generation);
        let (restarted, settling) = (Restarted::default(), false);
        let now = Now { state, process: None, settling, restarted, connections: 0, usage: None, gone: false };
        Arc::new(Self { id, folder, shared, turn: Turn::new(()), wanted, now: Mutex::new(now) })
    }

    pub(super) fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn observed(&self) -> Observed {
        let now = self.now();
        let observed = now.state.observed(now.connections, now.usage.map(Usage::shown));
        match now.restarted.message() {
            Some(message) if now.state.phase == Phase::Running => {
                let restarting = now.settling || now.process.is_none();
                let phase = if restarting { Some("Restarting".to_owned()) } else { observed.phase };
                Observed { message: Some(message.to_owned()), phase, ..observed }
            }
            _ => observed,
        }
    }

    pub(super) fn gone(&self) -> bool {
        self.now().gone
    }

    /// Whether there is anything of it: a session that was refused before anything was made is not.
    pub(super) fn known(&self) -> bool {
        let now = self.now();
        !now.gone && now.state.generation != i64::MIN
    }

    /// The port of a session that runs.
    pub(super) fn live_port(&self) -> Option<u16> {
        let now = self.now();
        now.state.port.filter(|_| now.state.phase == Phase::Running)
    }

    /// Notes the number of connections; true where it is another one than before.
    pub(super) fn connected(&self, connections: u32) -> bool {
        let mut now = self.now();
        std::mem::replace(&mut now.connections, connections) != connections
    }

    /// The first process of a session that has one.
    pub(super) fn leader(&self) -> Option<Identity> {
        let now = self.now();
        now.state.process.filter(|_| matches!(now.state.phase, Phase::Starting | Phase::Running))
    }

    /// Notes what it uses; true where that is worth a report: it counts as use, or is another amount than was noted last.
    pub(super) fn uses(&self, usage: Usage) -> bool {
        let mut now = self.now();
        let spec = now.state.spec.as_ref();
        let percent = spec.and_then(|spec| spec.template.as_ref()).and_then(|manifest| manifest.spec.use_cpu_percent);
        let may_use = spec.map(|spec| spec.resources.clone()).unwrap_or_default();
        let matters = streams::usage::is_use(&usage.shown(), &may_use, percent)
            || now.usage.is_none_or(|before| before.differs(usage));
        if matters {
            now.usage = Some(usage);
        }
        matters
    }

    /// Makes it match; `None` where it was deleted while this call waited for its turn.
    pub(super) async fn ensure(
        self: &Arc<Self>,
        desired: &Desired,
        stage: &Stage,
    ) -> Option<Result<Observed, Failure>> {
        self.wanted.send_if_modified(|newest| {
            let newer = desired.generation > *newest;
            *newest = desired.generation.max(*newest);
            newer
        });
        let _turn = self.turn.lock().await;
        if self.gone() {
            return None;
        }
        if desired.generation < self.now().state.generation {
            return Some(Ok(self.observed()));
        }
        Some(match desired.goal {
            Goal::Running => self.run(desired, stage).await,
            Goal::Hibernated => self.hibernate(desired).await,
            Goal::Deleted => self.delete(desired).await,
        })
    }

    async fn hibernate(&self, desired: &Desired) -> Result<Observed, Failure> {
        self.change(|state| {
            note(state, desired);
            state.phase = Phase::Hibernating;
        })?;
        self.end(self.grace(desired)).await?;
        self.finish_hibernation()?;
        Ok(self.observed())
    }

    /// What is left to do once nothing runs any more. Its home stays, persistent or not.
    pub(super) fn finish_hibernation(&self) -> Result<(), Failure> {
        self.change(|state| (state.phase, state.failure) = (Phase::Hibernated, None))
    }

    async fn delete(&self, desired: &Desired) -> Result<Observed, Failure> {
        let noted = self.change(|state| {
            note(state, desired);
            state.phase = Phase::Deleting;
        });
        if let Err(e) = noted {
            // A full disk must not keep a deletion from making room. Cut short, it comes again.
            tracing::warn!(session.id = %self.id, error = %e.message, "deletes without having written it down");
        }
        self.end(self.grace(desired)).await?;
        self.finish_deletion(&desired.user_id)?;
        Ok(Observed::deleted(self.id, desired.generation))
    }

    /// The home first and the state last, so that a kill in between is picked up again. What was persistent is the user's: it is
    /// not in the session's folder, or moves out of it.
    pub(super) fn finish_deletion(&self, user_id: &str) -> Result<(), Failure> {
        let inside = self.folder.join("home");
        let scratch = self.now().state.spec.as_ref().is_some_and(|spec| !spec.persistent_home);
        if !scratch && inside.exists() {
            let (name, _) = self
                .shared
                .user(user_id)
                .map_err(|e| retryable("state_folder", e.to_string()).of(scope::of(&e, wire::Scope::Session)))?;
            self.shared.homes.keep(&inside, &name, self.id).map_err(|e| {
                let message = format!("{} cannot be kept: {e}", inside.display());
                retryable("state_folder", message).of(scope::of(&e, wire::Scope::Session))
            })?;
        }
        remove::all(&inside)?;
        remove::all(&self.folder)?;
        self.forget();
        Ok(())
    }

    pub(super) fn forget(&self) {
        self.shared.ports.release(self.id);
        self.shared.homes.release(self.id);
        self.now().gone = true;
    }

    pub(super) fn scope(&self) -> Scope {
        let leader = self.now().state.process;
        Scope { world_id: self.shared.world_id, session_id: self.id, leader }
    }

    /// Ends all its processes, and frees its home.
    pub(super) async fn end(&self, grace: Duration) -> Result<(), Failure> {
        if !self.scope().end(grace).await {
            let message = format!("processes of session {} do not end", self.id);
            return Err(retryable("stop_timeout", message).of(wire::Scope::Session));
        }
        let process = self.now().process.clone();
        if let Some(process) = process {
            process.exited().await; // it is gone; whoever watches it notes that, and reaps it
        }
        self.drain_log().await;
        self.shared.homes.release(self.id);
        {
            let mut now = self.now();
            (now.process, now.usage, now.settling) = (None, None, false);
        }
        self.change(|state| (state.process, state.log_writer) = (None, None))
    }

    /// Waits until what it wrote is in its log.
    pub(super) async fn drain_log(&self) {
        let writer = self.now().state.log_writer;
        let writes = || writer.is_some_and(|writer| process::started(writer.pid) == Some(writer.started));
        let drained = async {
            while writes() {
                tokio::time::sleep(LOG_LOOK).await;
            }
        };
        let _ = tokio::time::timeout(LOG_PATIENCE, drained).await; // only a message would lack its end
    }

    /// Changes the state on disk, then here: what is answered is always what a restart would find.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) -> Result<(), Failure> {
        let mut now = self.now();
        let mut state = now.state.clone();
        change(&mut state);
        if state != now.state {
            state.save(&self.folder, self.shared.isolation.folder_mode()).map_err(|e| {
                let message = format!("{}: {e}", self.folder.display());
                retryable("state_folder", message).of(scope::of(&e, wire::Scope::Platform))
            })?;
            now.state = state;
        }
        Ok(())
    }

    pub(super) fn grace(&self, desired: &Desired) -> Duration {
        if desired.force { Duration::ZERO } else { self.template_grace() }
    }

    pub(super) fn template_grace(&self) -> Duration {
        policy::grace(&self.spec(), self.shared.config.grace)
    }

    pub(super) fn spec(&self) -> Arc<Spec> {
        self.now().state.spec.clone().unwrap_or_default()
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join(log::CURRENT)
    }
}

pub(super) fn note(state: &mut State, desired: &Desired) {
    state.generation = desired.generation;
    state.user_id.clone_from(&desired.user_id);
}
