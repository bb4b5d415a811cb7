//! Supervises background loops: one that panics or ends is restarted, counted, logged once with its cause, and shown.
//!
//! A process owns one [`Supervisor`]. Each loop has a name and a [`Role`], and is built anew for each run, so
//! that no state of a run that panicked survives: the loop reads the store again, as after a crash of the
//! process. A loop wraps each piece of its work in [`Task::round`], which records the last run, its duration
//! and its error.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "testing")]
mod fault;

/// The pause before the first restart; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A run of this length counts as healthy: the next restart waits [`FIRST_PAUSE`] again.
const HEALTHY: Duration = Duration::from_secs(60);
/// Characters of an error that are kept.
const ERROR_CHARS: usize = 500;

/// The effect of a missing loop on the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Not ready: accepted work would not be carried out.
    Essential,
    /// Degraded: work is carried out, but something else is delayed.
    Supporting,
}

/// The state of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It panicked or ended, and will be restarted after a pause.
    Restarting,
    /// It was stopped on purpose.
    Stopped,
}

impl State {
    /// The spelling in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Stopped => "stopped",
        }
    }
}

/// A loop as shown to operators.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its name, unique in the process.
    pub name: &'static str,
    /// The effect if it does not run.
    pub role: Role,
    /// Its state.
    pub state: State,
    /// How often it was restarted, or continued after a round that panicked.
    pub restarts: u64,
    /// End of the last round.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Duration of the last round.
    pub last_duration: Option<Duration>,
    /// Error of the last round, or the cause of the last restart until a round succeeds.
    pub error: Option<String>,
    /// Time of that error.
    pub error_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    task: &'static str,
}

/// Counters of loops; clones share them. [`Metrics::default`] is not registered anywhere.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    restarts: Family<Label, Counter>,
    running: Family<Label, Gauge>,
}

impl Metrics {
    /// Registers `streamspace_task_restarts_total` and `streamspace_task_running`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Background loops that panicked or ended and were restarted";
        registry.register("streamspace_task_restarts", help, metrics.restarts.clone());
        let help = "1 if a background loop runs, else 0";
        registry.register("streamspace_task_running", help, metrics.running.clone());
        metrics
    }
}

/// A loop's handle to its supervisor: when to stop, and where to record its work. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Task {
    status: Arc<Mutex<Status>>,
    cancel: CancellationToken,
    metrics: Metrics,
    /// The last round panicked, and was counted.
    panicked: Arc<AtomicBool>,
    #[cfg(feature = "testing")]
    fault: Arc<fault::Fault>,
}

impl Task {
    fn new(name: &'static str, role: Role, cancel: CancellationToken, metrics: Metrics) -> Self {
        let status = Status {
            name,
            role,
            state: State::Running,
            restarts: 0,
            last_run_at: None,
            last_duration: None,
            error: None,
            error_at: None,
        };
        Self {
            status: Arc::new(Mutex::new(status)),
            cancel,
            metrics,
            panicked: Arc::default(),
            #[cfg(feature = "testing")]
            fault: Arc::default(),
        }
    }

    /// Fires when the loop has to end.
    #[must_use]
    pub const fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Runs one piece of the loop's work and records its outcome; the caller handles the error.
    pub async fn round<T, E: Display>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let since = Instant::now();
        #[cfg(feature = "testing")]
        let work = self.fault.within(work);
        let watch = Watch(self);
        let done = work.await;
        drop(watch);
        self.ran(since.elapsed(), done.as_ref().err().map(|error| error as &dyn Display));
        done
    }

    /// The same for work that cannot fail.
    pub async fn work<T>(&self, work: impl Future<Output = T>) -> T {
        let done = self.round(async { Ok::<T, std::convert::Infallible>(work.await) }).await;
        match done {
            Ok(done) => done,
        }
    }

    /// Records the end of a piece of work, with its error if it failed.
    pub fn ran(&self, took: Duration, error: Option<&dyn Display>) {
        let mut status = self.status();
        let now = Utc::now();
        status.last_run_at = Some(now);
        status.last_duration = Some(took);
        status.error_at = error.map(|_| now);
        status.error = error.map(shortened);
        self.panicked.store(false, Ordering::SeqCst);
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a panic or an unexpected end, and keeps its cause.
    fn failed(&self, cause: &str) {
        let mut status = self.status();
        status.restarts += 1;
        status.error = Some(shortened(&cause));
        status.error_at = Some(Utc::now());
        self.metrics.restarts.get_or_create(&Label { task: status.name }).inc();
    }

    /// Counts the end of a whole run, unless the round that ended it was counted already.
    fn count(&self, cause: &str) {
        if self.panicked.swap(false, Ordering::SeqCst) {
            self.status().error = Some(shortened(&cause));
        } else {
            self.failed(cause);
        }
    }
}

/// Notices a panic of a round even if the owner of the loop catches it and continues.
struct Watch<'a>(&'a Task);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.0.panicked.swap(true, Ordering::SeqCst) {
            self.0.failed("a round panicked; the log has the cause");
        }
    }
}

fn shortened(error: &dyn Display) -> String {
    let text = error.to_string();
    match text.char_indices().nth(ERROR_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The loops of one process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Supervisor(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    metrics: Metrics,
    tasks: Mutex<Vec<Task>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Supervisor {
    /// A supervisor that counts in `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Shared { metrics, ..Shared::default() }))
    }

    /// Runs a loop until `cancel` fires. `make` builds one run; a run that panics, or ends before `cancel`
    /// fires, is followed by another. The returned token fires once the loop has ended for good.
    pub fn spawn<F>(
        &self,
        name: &'static str,
        role: Role,
        cancel: &CancellationToken,
        mut make: impl FnMut(Task) -> F + Send + 'static,
    ) -> CancellationToken
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = Task::new(name, role, cancel.clone(), self.0.metrics.clone());
        lock(&self.0.tasks).push(task.clone());
        let over = CancellationToken::new();
        let ended = over.clone().drop_guard();
        let handle = tokio::spawn(async move {
            let _ended = ended;
            keep_running(&task, &mut make).await;
        });
        lock(&self.0.handles).push(handle);
        over
    }

    /// Shows a loop that is run and restarted elsewhere.
    #[must_use]
    pub fn track(&self, name: &'static str, role: Role, cancel: &CancellationToken) -> Task {
        let task = Task::new(name, role, cancel.clone(), self.0.metrics.clone());
        lock(&self.0.tasks).push(task.clone());
        task.metrics.running.get_or_create(&Label { task: name }).set(1);
        task
    }

    /// All loops, in the order in which they were started.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        lock(&self.0.tasks).iter().map(|task| task.status().clone()).collect()
    }

    /// Loops that do not run although they were not stopped.
    #[must_use]
    pub fn down(&self, role: Role) -> Vec<Status> {
        let down = |status: &Status| status.role == role && status.state == State::Restarting;
        self.status().into_iter().filter(down).collect()
    }

    /// Waits until every loop has ended; their tokens must have fired.
    pub async fn ended(&self) {
        let handles = std::mem::take(&mut *lock(&self.0.handles));
        futures::future::join_all(handles).await;
    }

    /// Makes the next round of a loop panic after it was polled `polls` times; returns false if there is no such loop.
    #[cfg(feature = "testing")]
    pub fn panic_in(&self, name: &str, polls: usize) -> bool {
        let tasks = lock(&self.0.tasks);
        let task = tasks.iter().find(|task| task.status().name == name);
        task.inspect(|task| task.fault.arm(polls)).is_some()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn keep_running<F: Future<Output = ()> + Send>(task: &Task, make: &mut (impl FnMut(Task) -> F + Send)) {
    let label = Label { task: task.status().name };
    let running = |up: i64| {
        task.metrics.running.get_or_create(&label).set(up);
    };
    let mut pause = FIRST_PAUSE;
    while !task.cancel.is_cancelled() {
        task.status().state = State::Running;
        running(1);
        let since = Instant::now();
        let cause = match AssertUnwindSafe(async { make(task.clone()).await }).catch_unwind().await {
            Ok(()) if task.cancel.is_cancelled() => break,
            Ok(()) => "it ended by itself".to_owned(),
            Err(panic) => format!("it panicked: {}", panic_message(panic.as_ref())),
        };
        running(0);
        if since.elapsed() >= HEALTHY {
            pause = FIRST_PAUSE;
        }
        task.status().state = State::Restarting;
        task.count(&cause);
        tracing::error!(task = label.task, cause, pause_ms = pause.as_millis() as u64, "restarting a background loop");
        if task.cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            break;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    task.status().state = State::Stopped;
    running(0);
}

/// The message of a panic, if it is text.
#[must_use]
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
