//! One session: its folder, its process, and the steps between its states.
//!
//! Each step first writes down what it is about to do. A controller that dies in the middle, or a caller that gives up,
//! leaves a phase (`starting`, `hibernating`, `deleting`) from which the next call, or the next start, goes on.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use streams::{
    crash::{Moment, point},
    wire::Failure,
};
use tokio::sync::Mutex as Turn;
use uuid::Uuid;

use super::{
    Shared, adopt,
    plan::{self, Place, Plan},
    process::{self, Process},
    readiness,
    state::{Phase, State},
    usage::Usage,
};
use crate::driver::{Desired, Goal, Observed, retryable};

/// What is known now: the state as it is on disk, and what only this run has.
pub(super) struct Now {
    pub(super) state: State,
    pub(super) process: Option<Process>,
    connections: u32,
    usage: Option<Usage>,
    /// Deleted, and no longer in the table: whoever still holds it looks again.
    gone: bool,
}

pub(super) struct Session {
    pub(super) id: Uuid,
    folder: PathBuf,
    pub(super) shared: Arc<Shared>,
    /// One step at a time; a step may wait for a process.
    pub(super) turn: Turn<()>,
    now: Mutex<Now>,
}

impl Session {
    pub(super) fn new(state: State, shared: Arc<Shared>) -> Arc<Self> {
        let (id, folder) = (state.session_id, shared.folder(state.session_id));
        if let Some(port) = state.port {
            shared.ports.hold(port, id);
        }
        let now = Now { state, process: None, connections: 0, usage: None, gone: false };
        Arc::new(Self { id, folder, shared, turn: Turn::new(()), now: Mutex::new(now) })
    }

    pub(super) fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn observed(&self) -> Observed {
        let now = self.now();
        now.state.observed(now.connections, now.usage.map(Usage::shown))
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

    /// The first process of a session that runs.
    pub(super) fn live_pid(&self) -> Option<i32> {
        let now = self.now();
        now.state.process.filter(|_| now.state.phase == Phase::Running).map(|process| process.pid)
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
    pub(super) async fn ensure(self: &Arc<Self>, desired: &Desired) -> Option<Result<Observed, Failure>> {
        let _turn = self.turn.lock().await;
        if self.gone() {
            return None;
        }
        if desired.generation < self.now().state.generation {
            return Some(Ok(self.observed()));
        }
        Some(match desired.goal {
            Goal::Running => self.run(desired).await,
            Goal::Hibernated => self.hibernate(desired).await,
            Goal::Deleted => self.delete(desired).await,
        })
    }

    async fn run(self: &Arc<Self>, desired: &Desired) -> Result<Observed, Failure> {
        let process = self.now().process.clone().filter(Process::alive);
        let (phase, process) = match process {
            Some(process) => {
                self.change(|state| note(state, desired))?;
                (self.now().state.phase, process)
            }
            None => (Phase::Starting, self.start(desired)?),
        };
        if phase != Phase::Running {
            self.settle(&process).await?;
        }
        Ok(self.observed())
    }

    /// Everything from the decision to a process that runs its program. Nothing in here waits, so nothing in here can be
    /// left half done by a caller that gives up.
    fn start(self: &Arc<Self>, desired: &Desired) -> Result<Process, Failure> {
        let spec = desired.spec.clone().or_else(|| self.now().state.spec.clone()).unwrap_or_default();
        let (fresh, before) = (!self.folder.exists(), self.now().state.port);
        let port = self.shared.ports.claim(self.id, before)?;
        let home = self.home();
        let place = Place {
            session_id: self.id,
            user_id: &desired.user_id,
            world_id: self.shared.world_id,
            home: &home,
            port,
            executable: &self.shared.config.executable,
            enforce_memory: self.shared.config.enforce_memory,
        };
        let plan = Plan::new(&spec, &place).inspect_err(|_| {
            if fresh {
                self.forget();
            }
        })?;
        self.change(|state| {
            note(state, desired);
            state.spec = Some(spec);
            (state.phase, state.port, state.process, state.failure) = (Phase::Starting, Some(port), None, None);
        })?;
        self.launch(&plan).map_err(|e| retryable("spawn_failed", format!("{}: {e}", plan.program.display())))
    }

    fn launch(self: &Arc<Self>, plan: &Plan) -> Result<Process, io::Error> {
        fs::create_dir_all(self.home())?;
        fs::create_dir_all(&plan.working_dir)?;
        let (identity, gate) = process::spawn(plan, self.new_log()?)?;
        point("driver.ensure", Moment::During); // the worst one: there is a process, and nothing on disk says so
        self.change(|state| state.process = Some(identity)).map_err(|e| io::Error::other(e.message))?;
        let pid = process::pid(identity).ok_or(io::ErrorKind::InvalidData)?;
        plan.limits.apply(pid)?;
        let process = self.adopt(identity).ok_or_else(|| io::Error::other("the process is gone"))?;
        gate.open()?;
        Ok(process)
    }

    async fn settle(&self, process: &Process) -> Result<(), Failure> {
        let (port, spec) = {
            let now = self.now();
            (now.state.port.unwrap_or_default(), now.state.spec.clone().unwrap_or_default())
        };
        let ready = readiness::wait(port, &plan::readiness(&spec), process, &self.log()).await;
        let Err(failure) = ready else { return self.change(|state| state.phase = Phase::Running) };
        self.end(Duration::ZERO).await?;
        self.change(|state| (state.phase, state.failure) = (Phase::Failed, Some(failure.clone())))?;
        Err(failure)
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

    /// What is left to do once nothing runs any more.
    pub(super) fn finish_hibernation(&self) -> Result<(), Failure> {
        let persistent = self.now().state.spec.as_ref().is_some_and(|spec| spec.persistent_home);
        if !persistent {
            remove(&self.home())?;
        }
        self.change(|state| (state.phase, state.failure) = (Phase::Hibernated, None))
    }

    async fn delete(&self, desired: &Desired) -> Result<Observed, Failure> {
        self.change(|state| {
            note(state, desired);
            state.phase = Phase::Deleting;
        })?;
        self.end(self.grace(desired)).await?;
        self.finish_deletion()?;
        Ok(Observed::deleted(self.id, desired.generation))
    }

    /// The home first and the state last, so that a kill in between is picked up again.
    pub(super) fn finish_deletion(&self) -> Result<(), Failure> {
        remove(&self.home())?;
        remove(&self.folder)?;
        self.forget();
        Ok(())
    }

    fn forget(&self) {
        self.shared.ports.release(self.id);
        self.now().gone = true;
    }

    /// Ends its process, and whatever carries its mark outside of the process's group.
    async fn end(&self, grace: Duration) -> Result<(), Failure> {
        let process = self.now().process.clone();
        if let Some(process) = process
            && !process.stop(grace).await
        {
            return Err(retryable("stop_timeout", format!("process {} does not end", process.identity.pid)));
        }
        adopt::end_marked(self.shared.world_id, |session| session == self.id);
        {
            let mut now = self.now();
            (now.process, now.usage) = (None, None);
        }
        self.change(|state| state.process = None)
    }

    /// Changes the state on disk, then here: what is answered is always what a restart would find.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) -> Result<(), Failure> {
        let mut now = self.now();
        let mut state = now.state.clone();
        change(&mut state);
        if state != now.state {
            state
                .save(&self.folder)
                .map_err(|e| retryable("state_folder", format!("{}: {e}", self.folder.display())))?;
            now.state = state;
        }
        Ok(())
    }

    fn grace(&self, desired: &Desired) -> Duration {
        if desired.force { Duration::ZERO } else { self.shared.config.grace }
    }

    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("output.log")
    }

    /// The log of one run; the one before it is kept beside it.
    fn new_log(&self) -> io::Result<File> {
        match fs::rename(self.log(), self.folder.join("output.log.1")) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => File::create(self.log()),
        }
    }
}

fn note(state: &mut State, desired: &Desired) {
    state.generation = desired.generation;
    state.user_id.clone_from(&desired.user_id);
}

fn remove(folder: &std::path::Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(retryable("state_folder", format!("{} cannot be removed: {e}", folder.display())))
        }
        _ => Ok(()),
    }
}
