//! One examination, from the first start of the controller to the account.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use streams::wire::{Heartbeat, SessionState};
use tokio::time::Instant;
use uuid::Uuid;

use crate::account::{Account, Finding, Line, Outcome};
use crate::book::Heard;
use crate::cases::{self, Phase};
use crate::engine::Engine;
use crate::program::{Process, Program};
use crate::witness::{Browser, Witness};
use crate::{Error, Lane, Options, Promise};

/// How long a controller may take until its first heartbeat, or until it works again after a kill.
pub(crate) const START: Duration = Duration::from_secs(30);
/// How long what was deleted may still be seen by the witness: a process that was killed has to be waited for by its parent.
const LINGERS: Duration = Duration::from_secs(3);

/// A controller under examination.
pub(crate) struct Exam {
    pub(crate) options: Options,
    pub(crate) engine: Arc<Engine>,
    pub(crate) program: Program,
    pub(crate) witness: Option<Witness>,
    pub(crate) browser: Browser,
    /// The process that runs now.
    pub(crate) running: tokio::sync::Mutex<Option<Process>>,
    sessions: Mutex<Vec<Uuid>>,
    findings: Mutex<BTreeMap<Promise, (Outcome, Duration)>>,
}

/// Examines a controller.
pub(crate) async fn run(options: Options) -> Result<Account, Error> {
    if !Promise::ALL.iter().any(|promise| options.wants(*promise)) {
        return Err(Error::NothingToCheck);
    }
    let began = Instant::now();
    let made = tempfile::Builder::new().prefix("streamspace-conformance.").tempdir();
    let temporary = made.map_err(|source| Error::Folder { path: std::env::temp_dir(), source })?;
    let folder = options.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    let exam = Exam::begin(options, &folder).await?;
    exam.phases().await?;
    let process = exam.running.lock().await.take();
    if let Some(process) = process {
        process.stop(Duration::from_secs(10)).await;
    }
    exam.engine.close().await;
    Ok(exam.account(began))
}

impl Exam {
    async fn begin(options: Options, folder: &Path) -> Result<Self, Error> {
        let state = folder.join("state");
        std::fs::create_dir_all(&state).map_err(|source| Error::Folder { path: state.clone(), source })?;
        let who = (options.platform.clone(), options.id.clone(), options.lane);
        let engine = Engine::start(folder, options.nats_server.as_deref(), who).await?;
        let environment = environment(&engine, options.lane, &state);
        let program = Program { command: options.command.clone(), environment, log: folder.join("controller.log") };
        let witness = options.witness.clone().map(Witness::new);
        let browser = Browser::new(options.open_urls, options.write_path.clone());
        let (running, sessions, findings) = (tokio::sync::Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { options, engine, program, witness, browser, running, sessions, findings })
    }

    async fn phases(&self) -> Result<(), Error> {
        cases::begin::start(self).await?;
        self.together().await;
        self.phase(Phase::Crowd, cases::crowd::check(self).boxed()).await;
        self.phase(Phase::Kills, cases::kills::check(self).boxed()).await;
        self.phase(Phase::Stop, cases::stop::check(self).boxed()).await;
        self.phase(Phase::End, cases::end::check(self).boxed()).await;
        Ok(())
    }

    /// The checks that need no kill, all at the same time.
    async fn together(&self) {
        let wanted = Promise::ALL.iter().copied().filter(|promise| self.options.wants(*promise));
        let checks = wanted.filter_map(|promise| match cases::phase(promise) {
            Phase::Together(check) => Some(async move {
                let began = Instant::now();
                let finding = check(self).await;
                self.found(promise, finding, began);
            }),
            _ => None,
        });
        join_all(checks).await;
    }

    /// A phase whose checks share what they do to the controller. An error is of all its promises that have no finding yet.
    async fn phase(&self, phase: Phase, check: BoxFuture<'_, Result<(), String>>) {
        let of_it = |promise: &Promise| cases::phase(*promise).is(&phase) && self.options.wants(*promise);
        if !Promise::ALL.iter().any(of_it) {
            return;
        }
        let began = Instant::now();
        let ended = check.await;
        for promise in Promise::ALL.iter().copied().filter(of_it) {
            if !self.findings().contains_key(&promise) {
                let why = ended.clone().err().unwrap_or_else(|| "it was not come to".into());
                self.found(promise, Err(why), began);
            }
        }
    }

    fn findings(&self) -> MutexGuard<'_, BTreeMap<Promise, (Outcome, Duration)>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what came of a promise.
    pub(crate) fn found(&self, promise: Promise, finding: Finding, began: Instant) {
        let outcome = finding.unwrap_or_else(Outcome::Failed);
        self.findings().insert(promise, (outcome, began.elapsed()));
    }

    fn account(&self, began: Instant) -> Account {
        let mut lines = Vec::new();
        for promise in Promise::ALL.iter().copied().filter(|promise| self.options.wants(*promise)) {
            let none = || (Outcome::Failed("it was not checked".into()), Duration::ZERO);
            let (outcome, took) = self.findings().get(&promise).cloned().unwrap_or_else(none);
            lines.push(Line { promise, outcome, took });
        }
        let Options { platform, id, lane, .. } = &self.options;
        let about = format!("Conformance of controller {id} on platform {platform}, {} lane", lane.name());
        Account { about, lines, took: began.elapsed(), log: self.program.log_tail() }
    }

    /// An id for a session, remembered for the last look.
    pub(crate) fn new_session(&self) -> Uuid {
        let id = Uuid::new_v4();
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        id
    }

    /// Every session that the suite has named.
    pub(crate) fn sessions(&self) -> Vec<Uuid> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest heartbeat.
    pub(crate) fn heartbeat(&self) -> Option<Heartbeat> {
        self.engine.book.newest(|heard| match heard {
            Heard::Heartbeat(heartbeat, _) => Some(heartbeat.clone()),
            _ => None,
        })
    }

    /// Why a promise is absent, where the controller does not announce a capability.
    pub(crate) fn lacks(&self, capability: &str) -> Option<Outcome> {
        let has = self.heartbeat().is_some_and(|heartbeat| heartbeat.capabilities.iter().any(|one| one == capability));
        (!has).then(|| Outcome::Absent(format!("{capability:?} is not among its capabilities")))
    }

    /// Why a promise is absent in the core lane.
    pub(crate) fn only_durable(&self, what: &str) -> Option<Outcome> {
        (self.engine.lane == Lane::Core).then(|| Outcome::Absent(format!("the core lane has no {what}")))
    }

    /// Passed, where a witness saw it too.
    pub(crate) fn witnessed(&self) -> Outcome {
        match self.witness {
            Some(_) => Outcome::Passed,
            None => Outcome::NotSeen("the reports are right; without --witness what really exists was not seen".into()),
        }
    }

    /// What the witness sees of a session; nothing without one.
    pub(crate) async fn traces(&self, session: Uuid) -> Result<std::collections::BTreeSet<String>, String> {
        match &self.witness {
            Some(witness) => witness.lines(session).await,
            None => Ok(std::collections::BTreeSet::new()),
        }
    }

    /// Nothing of a session is seen any more.
    pub(crate) async fn leaves_nothing(&self, session: Uuid) -> Result<(), String> {
        let deadline = Instant::now() + LINGERS;
        loop {
            let traces = self.traces(session).await?;
            if traces.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let left = traces.into_iter().collect::<Vec<_>>().join("\n");
                return Err(format!("session {session} was reported as deleted, and the witness still sees:\n{left}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts the controller again, and waits until it is heard.
    pub(crate) async fn restart(&self, more: &[(&'static str, String)]) -> Result<Heartbeat, String> {
        let since = self.engine.book.mark();
        let process = self.program.start(more).map_err(|error| error.to_string())?;
        *self.running.lock().await = Some(process);
        self.heard_since(since).await
    }

    /// Waits until it is heard; in the durable lane until it has reported its inventory, too.
    pub(crate) async fn heard_since(&self, since: usize) -> Result<Heartbeat, String> {
        let beat = |heard: &Heard| match heard {
            Heard::Heartbeat(heartbeat, _) => Some(heartbeat.clone()),
            _ => None,
        };
        let silent = || format!("it sent no heartbeat within {START:?}; its output:\n{}", self.program.log_tail());
        let heartbeat = self.engine.book.wait(since, START, beat).await.ok_or_else(silent)?;
        if self.engine.lane == Lane::Durable {
            let last = |heard: &Heard| matches!(heard, Heard::Inventory(page) if page.last).then_some(());
            let told = self.engine.book.wait(since, START, last).await;
            told.ok_or_else(|| format!("it reported no inventory within {START:?}"))?;
        }
        Ok(heartbeat)
    }

    /// Kills what runs.
    pub(crate) async fn kill(&self) {
        let process = self.running.lock().await.take();
        if let Some(process) = process {
            process.kill().await;
        }
    }

    /// The last report on a session.
    pub(crate) fn last_state(&self, session: Uuid) -> Option<SessionState> {
        self.engine.book.newest(|heard| match heard {
            Heard::Session(status) if status.session_id == session => Some(status.status),
            _ => None,
        })
    }
}

fn environment(engine: &Engine, lane: Lane, state: &Path) -> Vec<(&'static str, String)> {
    let state = PathBuf::from(state).to_string_lossy().into_owned();
    let mut environment = engine.environment();
    environment.push(("HEARTBEAT_INTERVAL", "1s".into()));
    environment.push(("CONTROLLER_LANE", lane.name().into()));
    environment.push(("STATE_DIR", state.clone()));
    environment.push(("STREAMSPACE_STATE_DIR", state));
    environment
}
