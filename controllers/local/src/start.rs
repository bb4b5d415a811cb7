//! From the decision that a session runs to a process that was seen to be ready.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use streams::{
    crash::{Moment, point},
    wire::{self, Failure},
};

use super::{
    helper::{Launch, log},
    plan::{self, Place},
    policy,
    process::{self, Process},
    readiness::{self, Waiting},
    scope,
    session::{Session, note},
    state::Phase,
};
use controllers::driver::{Desired, Observed, Spec, Stage, retryable};

/// Where it lives, and who it is there.
struct Quarters {
    home: PathBuf,
    uid: Option<u32>,
}

impl Session {
    pub(super) async fn run(self: &Arc<Self>, desired: &Desired, stage: &Stage) -> Result<Observed, Failure> {
        if matches!(self.now().state.phase, Phase::Hibernating | Phase::Deleting) {
            self.end(self.grace(desired)).await?; // that step was cut: what it had asked to end is not taken for alive
        }
        let process = self.now().process.clone().filter(Process::alive);
        let (ready, process) = match process {
            Some(process) => {
                self.change(|state| {
                    note(state, desired);
                    state.spec = state.spec.take().or_else(|| desired.spec.clone()); // salvaged without one
                })?;
                let now = self.now();
                (now.state.phase == Phase::Running && !now.settling, process)
            }
            None => {
                self.now().restarted = super::restart::Restarted::default();
                (false, self.start(desired, Phase::Starting)?)
            }
        };
        if !ready {
            stage.waits_for_readiness();
            self.settle(&process, desired.generation).await?;
        }
        Ok(self.observed())
    }

    /// Everything from the decision to a process that runs its program. Nothing in here waits, so nothing in here can be
    /// left half done by a caller that gives up.
    pub(super) fn start(self: &Arc<Self>, desired: &Desired, phase: Phase) -> Result<Process, Failure> {
        let spec = desired.spec.clone().or_else(|| self.now().state.spec.clone()).unwrap_or_default();
        let fresh = !self.folder.exists();
        let begun = self.prepare(desired, &spec, phase);
        let launch = begun.inspect_err(|_| {
            if fresh && !self.folder.exists() {
                self.forget();
            }
        })?;
        self.launch(&launch).inspect_err(|_| self.shared.homes.release(self.id))
    }

    /// Port, home and user, and what is to be executed; written down when this answers.
    fn prepare(&self, desired: &Desired, spec: &Arc<Spec>, phase: Phase) -> Result<Launch, Failure> {
        let before = self.now().state.port;
        let port = self.shared.ports.claim(self.id, before)?;
        let quarters = self.quarters(spec, &desired.user_id)?;
        let config = &self.shared.config;
        let place = Place {
            session_id: self.id,
            user_id: &desired.user_id,
            world_id: self.shared.world_id,
            home: &quarters.home,
            port,
            executable: &config.executable,
            enforce_memory: config.enforce_memory,
            own_user: quarters.uid.is_some(),
        };
        let launch = plan::launch(spec, &place)?;
        self.shared.homes.claim(&quarters.home, self.id, policy::shares_home(spec))?;
        self.change(|state| {
            note(state, desired);
            state.spec = Some(spec.clone());
            (state.phase, state.port, state.process, state.failure) = (phase, Some(port), None, None);
            (state.home, state.uid) = (Some(quarters.home.clone()), quarters.uid);
        })
        .inspect_err(|_| self.shared.homes.release(self.id))?;
        self.shared.homes.make(&quarters.home, quarters.uid)?;
        Ok(Launch { owner: self.shared.isolation.owner(quarters.uid, config), ..launch })
    }

    /// A home stays where it was first made; that of a version before is in the session's folder.
    fn quarters(&self, spec: &Spec, user_id: &str) -> Result<Quarters, Failure> {
        let (name, uid) = self
            .shared
            .user(user_id)
            .map_err(|e| retryable("users", e.to_string()).of(scope::of(&e, wire::Scope::Session)))?;
        let (known, inside) = (self.now().state.home.clone(), self.folder.join("home"));
        let home = match known {
            Some(home) => home,
            None if inside.exists() || !spec.persistent_home => inside,
            None => self.shared.homes.place(&name),
        };
        Ok(Quarters { home, uid })
    }

    fn launch(self: &Arc<Self>, launch: &Launch) -> Result<Process, Failure> {
        let failed = |e: io::Error| {
            let message = format!("{}: {e}", launch.program.display());
            retryable("spawn_failed", message).of(scope::of(&e, wire::Scope::Template))
        };
        log::begin(&self.folder).map_err(failed)?;
        let config = &self.shared.config;
        let (writer, pipe) = process::spawn_log(&config.executable, &self.folder, config.log_bytes).map_err(failed)?;
        let (identity, gate) = process::spawn(&config.executable, pipe).map_err(failed)?;
        point("driver.ensure", Moment::During); // the worst one: there is a process, and nothing on disk says so
        self.change(|state| (state.process, state.log_writer) = (Some(identity), Some(writer)))?;
        let gone = || retryable("spawn_failed", "the process is gone").of(wire::Scope::Session);
        let process = self.adopt(identity).ok_or_else(gone)?;
        self.now().settling = true;
        gate.open(launch).map_err(failed)?;
        Ok(process)
    }

    /// Waits until it is ready. A newer generation ends the wait and leaves everything as it is: that one decides.
    pub(super) async fn settle(self: &Arc<Self>, process: &Process, generation: i64) -> Result<(), Failure> {
        let spec = self.spec();
        let port = self.now().state.port.unwrap_or_default();
        let (probes, readiness) = (&self.shared.probes, policy::readiness(&spec));
        let waiting = Waiting { port, scope: self.scope(), probes, readiness };
        let mut newest = self.wanted.subscribe();
        let ready = tokio::select! {
            biased;
            _ = newest.wait_for(|wanted| *wanted > generation) => {
                return Err(retryable("superseded", "a newer command for this session has come").of(wire::Scope::Session));
            }
            ready = waiting.wait(process) => ready,
        };
        let Err(failure) = ready else {
            self.change(|state| state.phase = Phase::Running)?;
            self.now().settling = false;
            self.check_liveness(process.identity);
            return Ok(());
        };
        self.end(Duration::ZERO).await?;
        let message = format!("{}{}", failure.message, readiness::tail(&self.log()));
        let failure = Failure { message, ..failure };
        self.change(|state| (state.phase, state.failure) = (Phase::Failed, Some(failure.clone())))?;
        Err(failure)
    }
}
