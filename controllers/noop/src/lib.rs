//! A platform that is only a table in memory: for measuring what surrounds a driver, and for breaking it on purpose.
//!
//! With a journal it keeps its world over a restart: one JSON line a change, replayed when it is opened. The journal is only ever
//! added to, so that it also tells what was done, and how often ([`history`]).

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use streams::{
    crash::{Moment, point},
    wire::{Capacity, Failure, Resources, Scope, SessionState},
};
use tokio::sync::{Mutex as Turn, mpsc};
use uuid::Uuid;

use controllers::{
    Registration,
    driver::{Desired, Driver, Goal, Observed, Spec, Stage, retryable},
    registration::{NotOpened, Open, Setting, Settings},
};

/// The platform `noop`.
pub const PLATFORM: Registration = Registration {
    name: "noop",
    settings: &[Setting { key: "noop_delay_ms", about: "how long each piece of work takes, in milliseconds" }],
    schema: || serde_json::json!({ "type": "object" }), // no field means anything here
    configure,
    helper: None,
};

fn configure(settings: &mut dyn Settings) -> Option<Open> {
    let journal = settings.text("state_dir").map(|folder| PathBuf::from(folder).join("noop.journal"));
    let delay = Duration::from_millis(settings.optional("noop_delay_ms").unwrap_or(0));
    let knobs = Knobs { journal, delay, ..Knobs::default() };
    let knobs = Knobs { sessions_max: settings.optional("sessions_max").unwrap_or(knobs.sessions_max), ..knobs };
    Some(Box::new(move || Box::pin(async move { open(knobs) })))
}

fn open(knobs: Knobs) -> Result<Arc<dyn Driver>, NotOpened> {
    if let Some(folder) = knobs.journal.as_deref().and_then(Path::parent) {
        std::fs::create_dir_all(folder).map_err(NotOpened::because)?;
    }
    Ok(Arc::new(Noop::open(knobs).map_err(NotOpened::because)?))
}

/// Why the journal could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the journal {path}: {source}")]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// What can be turned.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// How long each piece of work takes.
    pub delay: Duration,
    /// How long a start waits for readiness after that.
    pub readiness: Duration,
    /// Share of work that fails, retryable, from 0 to 1.
    pub failure_rate: f64,
    /// Sessions that it says it will hold.
    pub sessions_max: u32,
    /// Where the world is kept over restarts; without it each start is a new world.
    pub journal: Option<PathBuf>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            readiness: Duration::ZERO,
            failure_rate: 0.0,
            sessions_max: 1_000_000,
            journal: None,
        }
    }
}

/// One line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    at: DateTime<Utc>,
    change: Change,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Change {
    World(Uuid),
    Is(Uuid, Box<Entry>),
    Gone(Uuid),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    user_id: String,
    generation: i64,
    state: SessionState,
    spec: Option<Arc<Spec>>,
}

/// One change of a world, as its journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// By the controller's clock.
    pub at: DateTime<Utc>,
    /// Whose.
    pub session_id: Uuid,
    /// The generation that asked for it, and what the session is since then; `None` where nothing of it is left.
    pub became: Option<(i64, SessionState)>,
}

/// All that a journal tells, oldest first. What is torn at its end was never answered, and is left out.
///
/// # Errors
/// Where it cannot be read; one that does not exist yet tells nothing.
pub fn history(path: &Path) -> io::Result<Vec<Effect>> {
    let effect = |line: Line| {
        let (session_id, became) = match line.change {
            Change::World(_) => return None,
            Change::Is(id, entry) => (id, Some((entry.generation, entry.state))),
            Change::Gone(id) => (id, None),
        };
        Some(Effect { at: line.at, session_id, became })
    };
    Ok(read(path)?.0.into_iter().filter_map(effect).collect())
}

impl Entry {
    fn observed(&self, session_id: Uuid) -> Observed {
        let url = (self.state == SessionState::Running).then(|| format!("http://noop.invalid/{session_id}/"));
        Observed {
            user_id: self.user_id.clone(),
            url,
            spec: self.spec.clone(),
            ..Observed::bare(session_id, self.generation, self.state)
        }
    }
}

/// Signs of use that a test made up.
type Signs = HashMap<Uuid, (Option<u32>, Option<Resources>)>;

struct World {
    sessions: HashMap<Uuid, Entry>,
    signs: Signs,
    journal: Option<File>,
}

impl World {
    fn of(sessions: HashMap<Uuid, Entry>, journal: Option<File>) -> Self {
        Self { sessions, signs: Signs::new(), journal }
    }

    fn observed(&self, id: Uuid, entry: &Entry) -> Observed {
        let running = entry.state == SessionState::Running;
        let signs = self.signs.get(&id).filter(|_| running).cloned();
        let (connections, resource_usage) = signs.unwrap_or_default();
        Observed { connections, resource_usage, ..entry.observed(id) }
    }

    fn note(&mut self, change: Change) -> Result<(), Failure> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        append(journal, change).map_err(|e| retryable("journal", e.to_string()).of(Scope::Platform))
    }
}

/// The driver.
pub struct Noop {
    knobs: Knobs,
    world_id: Uuid,
    world: Mutex<World>,
    changed: mpsc::UnboundedSender<Uuid>,
    changes: Turn<mpsc::UnboundedReceiver<Uuid>>,
}

impl Noop {
    /// Opens the world of the journal, or a new one.
    ///
    /// # Errors
    /// Where the journal cannot be read or rewritten.
    pub fn open(knobs: Knobs) -> Result<Self, Error> {
        let (world_id, world) = match &knobs.journal {
            None => (Uuid::new_v4(), World::of(HashMap::new(), None)),
            Some(path) => replay(path).map_err(|source| Error { path: path.clone(), source })?,
        };
        let (changed, changes) = mpsc::unbounded_channel();
        Ok(Self { knobs, world_id, world: Mutex::new(world), changed, changes: Turn::new(changes) })
    }

    /// Makes a session look used, or unused, from now on, and says so.
    pub fn look_used(&self, session: Uuid, connections: Option<u32>, usage: Option<Resources>) {
        self.world().signs.insert(session, (connections, usage));
        let _ = self.changed.send(session); // the other end is in here too
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, desired: &Desired) -> Result<Observed, Failure> {
        let mut world = self.world();
        let id = desired.session_id;
        let before = world.sessions.get(&id);
        if let Some(newer) = before.filter(|entry| entry.generation > desired.generation) {
            return Ok(world.observed(id, newer));
        }
        if desired.goal == Goal::Deleted {
            if before.is_some() {
                world.note(Change::Gone(id))?;
                world.sessions.remove(&id);
                world.signs.remove(&id);
            }
            return Ok(Observed::deleted(id, desired.generation));
        }
        let spec = desired.spec.clone().or_else(|| before.and_then(|entry| entry.spec.clone()));
        let (user_id, generation, state) = (desired.user_id.clone(), desired.generation, desired.goal.state());
        let entry = Entry { user_id, generation, state, spec };
        let observed = world.observed(id, &entry);
        world.note(Change::Is(id, Box::new(entry.clone())))?;
        point("driver.ensure", Moment::During);
        world.sessions.insert(id, entry);
        Ok(observed)
    }
}

#[async_trait]
impl Driver for Noop {
    async fn ensure(&self, desired: &Desired) -> Result<Observed, Failure> {
        self.ensure_staged(desired, &Stage::unobserved()).await
    }

    async fn ensure_staged(&self, desired: &Desired, stage: &Stage) -> Result<Observed, Failure> {
        if !self.knobs.delay.is_zero() {
            tokio::time::sleep(self.knobs.delay).await;
        }
        if self.knobs.failure_rate > 0.0 && rand::random::<f64>() < self.knobs.failure_rate {
            return Err(retryable("injected", "this driver was told to fail sometimes").of(Scope::Session));
        }
        if desired.goal == Goal::Running && !self.knobs.readiness.is_zero() {
            stage.waits_for_readiness();
            tokio::time::sleep(self.knobs.readiness).await;
        }
        self.apply(desired)
    }

    async fn list(&self) -> Result<Vec<Observed>, Failure> {
        let world = self.world();
        Ok(world.sessions.iter().map(|(id, entry)| world.observed(*id, entry)).collect())
    }

    async fn observe(&self, session_id: Uuid) -> Result<Option<Observed>, Failure> {
        let world = self.world();
        Ok(world.sessions.get(&session_id).map(|entry| world.observed(session_id, entry)))
    }

    async fn changed(&self) -> Uuid {
        match self.changes.lock().await.recv().await {
            Some(session) => session,
            None => std::future::pending().await,
        }
    }

    async fn capacity(&self) -> Capacity {
        let sessions = self.world().sessions.len().try_into().unwrap_or(u32::MAX);
        Capacity { sessions_max: self.knobs.sessions_max, sessions, ..Capacity::default() }
    }

    fn platform(&self) -> &str {
        "noop"
    }

    fn world_id(&self) -> Uuid {
        self.world_id
    }

    fn announces(&self) -> bool {
        !(self.knobs.delay.is_zero() && self.knobs.readiness.is_zero())
    }
}

fn append(journal: &mut File, change: Change) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(&Line { at: Utc::now(), change })?;
    bytes.push(b'\n');
    journal.write_all(&bytes)
}

/// The whole lines of a journal, and how many bytes they take.
fn read(path: &Path) -> io::Result<(Vec<Line>, u64)> {
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(e) => return Err(e),
    };
    let (mut lines, mut whole, mut text) = (Vec::new(), 0, Vec::new());
    loop {
        text.clear();
        let length = file.read_until(b'\n', &mut text)?;
        match streams::limits::json::stored(&text) {
            Ok(line) if text.ends_with(b"\n") => lines.push(line),
            _ => return Ok((lines, whole)),
        }
        whole += length as u64;
    }
}

/// Makes the world again, and goes on with its journal. A torn last line is what a kill leaves: its change was never answered,
/// so it is dropped.
fn replay(path: &Path) -> io::Result<(Uuid, World)> {
    let (lines, whole) = read(path)?;
    let (mut world_id, mut sessions) = (None, HashMap::new());
    for line in lines {
        match line.change {
            Change::World(id) => world_id = Some(id),
            Change::Is(id, entry) => drop(sessions.insert(id, *entry)),
            Change::Gone(id) => drop(sessions.remove(&id)),
        }
    }
    let mut journal = OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
    journal.set_len(whole)?;
    journal.seek(SeekFrom::End(0))?;
    let world_id = match world_id {
        Some(id) => id,
        None => {
            let id = Uuid::new_v4();
            append(&mut journal, Change::World(id))?;
            id
        }
    };
    Ok((world_id, World::of(sessions, Some(journal))))
}
