//! The platform `local`: a session is a process on the controller's own machine, in a folder of its own.
//!
//! Processes outlive the controller and are adopted by the next one. See `limits` for what is enforced and what is not, and
//! `isolation` for what keeps sessions apart: users of the machine, where the controller is root; elsewhere nothing, so that is
//! for machines whose sessions trust each other.

mod adopt;
mod connections;
mod helper;
mod homes;
mod inspect;
mod isolation;
mod limits;
mod listener;
mod members;
mod plan;
mod policy;
mod port;
mod probe;
mod process;
mod processes;
mod readiness;
mod registration;
mod remove;
mod restart;
mod scope;
mod session;
mod signs;
mod sockets;
mod start;
mod state;
mod usage;
mod users;
mod watch;

pub use helper::helper;
pub use registration::PLATFORM;

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io,
    ops::Range,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use controllers::driver::{self, Desired, Driver, Goal, Observed, Progress, Spec, Stage};
use streams::tasks::Supervisor;
use streams::wire::{AppInstall, Capacity, Failure, Home, Keeps, LogEnd, Object};
use tokio::sync::{Mutex as Turn, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use connections::Probes;
use homes::Homes;
use isolation::Isolation;
use port::Ports;
use session::Session;
use state::State;
use users::Users;

/// Why a state folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another controller has it.
    #[error("the state folder {0} is in use by another controller")]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("the state folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its identity is not one.
    #[error("{0} holds no id; it is not a state folder, or it was damaged")]
    World(PathBuf),
}

/// How the driver works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept. One controller at a time.
    pub state_dir: PathBuf,
    /// What `${STREAMSPACE_BIN}` stands for, and what helps the driver: its `main` calls [`helper`] before anything else.
    pub executable: PathBuf,
    /// Sessions that it will hold.
    pub sessions_max: u32,
    /// Ports to give to sessions.
    pub ports: Range<u16>,
    /// How long a process may take to end by itself.
    pub grace: Duration,
    /// How often connections are counted.
    pub connections_interval: Duration,
    /// How often usage is looked at, and how often it is reported while it counts as use.
    pub usage_interval: Duration,
    /// Whether `resources.memory` limits the address space.
    pub enforce_memory: bool,
    /// Whether each user gets a uid of its own.
    pub own_users: OwnUsers,
    /// Processes that a user (where it has a uid of its own) or a session (elsewhere) may have.
    pub processes_max: u64,
    /// How often a session's processes are counted.
    pub processes_interval: Duration,
    /// Bytes of each of the two files that a session's log is kept in.
    pub log_bytes: u64,
    /// Supervises the driver's loops.
    pub tasks: Supervisor,
}

/// Who a session's processes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnUsers {
    /// Users of their own where the controller is root and the kernel permits it; else the controller's own user, with a warning.
    WherePossible,
    /// Always the controller's own user.
    Never,
}

impl Config {
    /// The defaults, on a state folder.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            executable: std::env::current_exe().unwrap_or_else(|_| "streamspace".into()),
            sessions_max: 200,
            ports: 20_000..32_000,
            grace: Duration::from_secs(5),
            connections_interval: Duration::from_secs(10),
            usage_interval: Duration::from_secs(30),
            enforce_memory: true,
            own_users: OwnUsers::WherePossible,
            processes_max: 1024,
            processes_interval: Duration::from_secs(2),
            log_bytes: helper::log::FILE_MAX,
            tasks: Supervisor::default(),
        }
    }
}

/// What all sessions of a world share.
struct Shared {
    config: Config,
    world_id: Uuid,
    ports: Ports,
    homes: Homes,
    users: Users,
    isolation: Isolation,
    probes: Probes,
    changes: mpsc::UnboundedSender<Uuid>,
    /// Ends the watchers when the driver is dropped; the processes stay.
    closed: CancellationToken,
}

impl Shared {
    fn sessions_folder(&self) -> PathBuf {
        self.config.state_dir.join("sessions")
    }

    fn folder(&self, session: Uuid) -> PathBuf {
        self.sessions_folder().join(session.to_string())
    }

    /// The name of a user's folder, and the uid that its processes have, if not the controller's.
    fn user(&self, user_id: &str) -> io::Result<(String, Option<u32>)> {
        self.users.enter(user_id, self.isolation.own_users())
    }

    fn changed(&self, session: Uuid) {
        let _ = self.changes.send(session); // nobody listens: the world is reported at the next start
    }
}

type Sessions = Mutex<HashMap<Uuid, Arc<Session>>>;

/// The driver.
pub struct Local {
    shared: Arc<Shared>,
    sessions: Arc<Sessions>,
    changes: Turn<mpsc::UnboundedReceiver<Uuid>>,
    _closed: DropGuard,
    _lock: File,
}

impl Local {
    /// Opens a state folder, or makes one, and adopts what lives in it. Has to be called inside of a tokio runtime.
    ///
    /// # Errors
    /// Where another controller has the folder, or it cannot be used.
    pub fn open(config: Config) -> Result<Self, Error> {
        let folder = config.state_dir.clone();
        let failed = |source| Error::Folder { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        // Paths of programs and homes are used from other working folders.
        let config = Config {
            state_dir: fs::canonicalize(&folder).map_err(failed)?,
            executable: fs::canonicalize(&config.executable).unwrap_or_else(|_| config.executable.clone()),
            ..config
        };
        let lock = lock(&config.state_dir)?;
        let isolation = Isolation::find(&config);
        for folder in ["", "sessions", "homes"] {
            state::private_folder(&config.state_dir.join(folder), isolation.folder_mode()).map_err(failed)?;
        }
        let world_id = world_id(&config.state_dir)?;
        let users = Users::open(&config.state_dir, world_id).map_err(failed)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let (closed, ports) = (CancellationToken::new(), Ports::new(config.ports.clone()));
        let (homes, probes) = (Homes::new(&config.state_dir), Probes::default());
        let closing = closed.clone();
        let changes = sender;
        let shared = Shared { config, world_id, ports, homes, users, isolation, probes, changes, closed: closing };
        let shared = Arc::new(shared);
        shared.homes.finish_removals();
        let adopted = adopt::sessions(&shared).map_err(failed)?;
        let sessions = Arc::new(Sessions::new(adopted.into_iter().map(|session| (session.id, session)).collect()));
        signs::supervise(&shared, &sessions);
        Ok(Self { shared, sessions, changes: Turn::new(receiver), _closed: closed.drop_guard(), _lock: lock })
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session, unless there is none and nothing is to be made.
    fn session(&self, desired: &Desired) -> Option<Arc<Session>> {
        let mut sessions = self.sessions();
        let id = desired.session_id;
        sessions.retain(|_, session| session.id != id || !session.gone());
        if desired.goal == Goal::Deleted && !self.shared.folder(id).exists() {
            return sessions.get(&id).cloned();
        }
        let make = || Session::new(State::new(id), self.shared.clone());
        Some(sessions.entry(id).or_insert_with(make).clone())
    }
}

#[async_trait]
impl Driver for Local {
    async fn ensure(&self, desired: &Desired) -> Result<Observed, Failure> {
        self.ensure_staged(desired, &Stage::unobserved()).await
    }

    async fn ensure_staged(&self, desired: &Desired, stage: &Stage) -> Result<Observed, Failure> {
        loop {
            let Some(session) = self.session(desired) else {
                return Ok(Observed::deleted(desired.session_id, desired.generation));
            };
            let answer = session.ensure(desired, stage).await;
            if session.gone() {
                self.sessions().retain(|_, other| !Arc::ptr_eq(other, &session));
            }
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    async fn list(&self) -> Result<Vec<Observed>, Failure> {
        Ok(self.sessions().values().filter(|session| session.known()).map(|session| session.observed()).collect())
    }

    async fn observe(&self, session_id: Uuid) -> Result<Option<Observed>, Failure> {
        Ok(self.sessions().get(&session_id).filter(|session| session.known()).map(|session| session.observed()))
    }

    async fn changed(&self) -> Uuid {
        match self.changes.lock().await.recv().await {
            Some(session) => session,
            None => std::future::pending().await,
        }
    }

    async fn capacity(&self) -> Capacity {
        let sessions = self.sessions().values().filter(|session| session.live_port().is_some()).count();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Capacity {
            sessions_max: self.shared.config.sessions_max,
            sessions: sessions as u32,
            memory_bytes: memory("MemTotal:"),
            memory_free_bytes: memory("MemAvailable:"),
            cpu_millis: cores as u64 * 1000,
            ..Capacity::default()
        }
    }

    fn platform(&self) -> &str {
        "local"
    }

    fn cluster_info(&self) -> Object {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Object::from_iter([("name".into(), host.trim().into()), ("kernel".into(), release.trim().into())])
    }

    fn attributes(&self) -> Object {
        Object::from_iter([
            ("os".into(), std::env::consts::OS.into()),
            ("architecture".into(), std::env::consts::ARCH.into()),
        ])
    }

    fn keeps(&self) -> Keeps {
        Keeps::Paths // its home; what a program writes elsewhere is the host's
    }

    fn world_id(&self) -> Uuid {
        self.shared.world_id
    }

    fn capabilities(&self) -> Vec<String> {
        ["sessions", "applications", "templates", "keeps-files", "homes"].map(String::from).to_vec()
    }

    async fn log(&self, session_id: Uuid, bytes: u32) -> Result<LogEnd, Failure> {
        self.log_end(session_id, bytes).await
    }

    async fn homes(&self, user_id: Option<&str>) -> Result<Vec<Home>, Failure> {
        self.homes_kept(user_id).await
    }

    async fn delete_home(&self, name: &str) -> Result<(), Failure> {
        self.remove_home(name).await
    }

    async fn install(&self, app: &AppInstall, progress: &Progress) -> Result<String, Failure> {
        let name = app.template_name.clone();
        let spec = Spec { template_id: name, template: Some(driver::manifest(app)?), ..Spec::default() };
        progress.say("looks whether its command can be run");
        let command = plan::runnable(&spec, &self.shared.config, self.shared.world_id);
        command.map(|command| format!("runs {command}")).map_err(|failure| plan::in_manifest(failure, &app.manifest))
    }
}

/// Held as long as the file is open, so also after a kill it is free again.
fn lock(folder: &Path) -> Result<File, Error> {
    let failed = |source| Error::Folder { path: folder.into(), source };
    let file = File::options().create(true).append(true).mode(0o600).open(folder.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(folder.into())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn world_id(folder: &Path) -> Result<Uuid, Error> {
    let (path, failed) = (folder.join("world_id"), |source| Error::Folder { path: folder.into(), source });
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| Error::World(path)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let fresh = Uuid::new_v4();
            state::replace(&path, format!("{fresh}\n").as_bytes()).map_err(failed)?;
            Ok(fresh)
        }
        Err(e) => Err(failed(e)),
    }
}

/// Bytes of a line of `/proc/meminfo`; 0 where it says nothing.
fn memory(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
