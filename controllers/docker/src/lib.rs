//! The platform `docker`: a session is a container of a Docker engine.
//!
//! All that is known stands in the engine: names derive from installation and session, labels say whose a container is, and
//! empty labelled volumes hold goal and generation (see `look`). So the state folder of a controller may be lost, and a standby
//! sees what the active one sees. Sessions of one engine share its network unless the operator gives them another.

mod block;
mod bounds;
mod engine;
mod homes;
mod image;
mod install;
mod logs;
mod look;
mod names;
mod plan;
mod readiness;
mod registration;
mod run;
mod session;
mod usage;
mod watch;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bollard::Docker as Api;
use controllers::driver::{Desired, Driver, Observed, Progress, Stage};
use streams::tasks::{Role, Supervisor};
use streams::wire::{AppInstall, Capacity, Failure, Home, Keeps, LogEnd, Object};
use tokio::sync::{Mutex as Turn, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub use block::{Block, Hibernate, Pull, schema};
pub use bounds::Allowed;
pub use engine::Error;
pub use registration::PLATFORM;

use engine::Address;
use image::Pulls;
use names::Names;
use session::Session;
use watch::Claims;

/// Between two tries to reach an engine that is not there yet.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a heartbeat waits for the engine's figures.
const FIGURES: Duration = Duration::from_secs(2);

/// How the driver works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the engine is; `DOCKER_HOST`, the docker command's context, or the local socket unless given.
    pub host: Option<String>,
    /// Tells the containers of two installations on one engine apart.
    pub installation: String,
    /// Which controller it is, for people who look at the engine.
    pub controller_id: String,
    /// Sessions that it will hold.
    pub sessions_max: u32,
    /// The address on which ports are published.
    pub publish: IpAddr,
    /// The url of a session, with `{host}`, `{port}` and `{session}` in it; `http://{host}:{port}/` unless given.
    pub url: Option<String>,
    /// The engine's network that sessions are in; its default unless given.
    pub network: Option<String>,
    /// When images are fetched, unless the template says so.
    pub pull: Pull,
    /// What templates may ask of the host.
    pub allow: Allowed,
    /// Processes and threads that a session may have at most.
    pub pids_max: u32,
    /// How long a container has to end, unless the template says so.
    pub grace: Duration,
    /// How often usage and connections are measured.
    pub usage_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: None,
            installation: "streamspace".into(),
            controller_id: String::new(),
            sessions_max: 200,
            publish: IpAddr::V4(Ipv4Addr::LOCALHOST),
            url: None,
            network: None,
            pull: Pull::Missing,
            allow: Allowed::default(),
            pids_max: 4096,
            grace: Duration::from_secs(10),
            usage_interval: Duration::from_secs(15),
        }
    }
}

/// What all sessions of an engine share.
struct Host {
    api: Api,
    address: Address,
    config: Config,
    names: Names,
    pulls: Arc<Pulls>,
    sessions: Mutex<HashMap<Uuid, Arc<Session>>>,
    claims: Mutex<Claims>,
    changes: mpsc::UnboundedSender<Uuid>,
    /// Ends what watches, when the driver is dropped; the containers stay.
    closed: CancellationToken,
}

impl Host {
    fn sessions(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The driver.
pub struct Docker {
    host: Arc<Host>,
    world_id: Uuid,
    facts: Object,
    attributes: Object,
    changes: Turn<mpsc::UnboundedReceiver<Uuid>>,
    _closed: DropGuard,
}

impl Docker {
    /// Connects to an engine, and adopts what is there. Waits for an engine that does not answer yet: nobody knows what is on it.
    ///
    /// # Errors
    /// Where its address can never lead to one.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let address = Address::find(config.host.as_deref())?;
        let names = Names::new(&config.installation);
        let Engine { api, world_id, facts, attributes } = connected(&address, &names).await?;
        let (changes, receiver) = mpsc::unbounded_channel();
        let closed = CancellationToken::new();
        let host = Arc::new(Host {
            api,
            address,
            config,
            names,
            pulls: Arc::default(),
            sessions: Mutex::default(),
            claims: Mutex::default(),
            changes,
            closed: closed.clone(),
        });
        let (loops, (events, usage)) = (Supervisor::default(), (host.clone(), host.clone()));
        loops.spawn("docker events", Role::Supporting, &closed, move |_| events.clone().follow_events());
        loops.spawn("docker usage", Role::Supporting, &closed, move |_| usage.clone().follow_usage());
        Ok(Self { host, world_id, facts, attributes, changes: Turn::new(receiver), _closed: closed.drop_guard() })
    }
}

/// An engine that answers.
struct Engine {
    api: Api,
    /// Identity of what we have in it.
    world_id: Uuid,
    facts: Object,
    attributes: Object,
}

/// An engine that answers, however long that takes.
async fn connected(address: &Address, names: &Names) -> Result<Engine, Error> {
    let mut said = false;
    loop {
        let error = match address.client() {
            Ok(client) => match identity(client, names).await {
                Ok(known) => return Ok(known),
                Err(error) => error,
            },
            Err(Error::Client(error @ bollard::errors::Error::SocketNotFoundError(_))) => error.to_string(),
            Err(error) => return Err(error),
        };
        if !std::mem::replace(&mut said, true) {
            tracing::warn!(engine = %address.host, error, "the Docker engine does not answer; waits for it");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The volume that holds the identity is made once; whoever comes second reads the first one's.
async fn identity(client: Api, names: &Names) -> Result<Engine, String> {
    let api = client.negotiate_version().await.map_err(|e| e.to_string())?;
    let labels = names.labels(names::Role::Inventory, [(names::WORLD, Uuid::new_v4().to_string())]);
    let volume = look::volume(&api, names.inventory(), labels).await.map_err(|failure| failure.message)?;
    let world_id = volume.labels.get(names::WORLD).and_then(|id| id.parse().ok());
    let world_id = world_id.ok_or_else(|| format!("volume {} holds no identity: it is not ours", volume.name))?;
    let info = api.info().await.map_err(|e| e.to_string())?;
    let gpu = info.runtimes.as_ref().is_some_and(|runtimes| runtimes.contains_key("nvidia"));
    let attributes = Object::from_iter([
        ("os".into(), info.os_type.as_deref().unwrap_or("linux").into()),
        ("architecture".into(), info.architecture.as_deref().unwrap_or_default().into()),
        ("gpu".into(), gpu.into()),
        ("images".into(), "oci".into()),
    ]);
    let text = |value: Option<String>| value.unwrap_or_default().into();
    let facts = [
        ("name", text(info.name)),
        ("engine", text(info.server_version)),
        ("os", text(info.operating_system)),
        ("architecture", text(info.architecture)),
        ("kernel", text(info.kernel_version)),
        ("storage", text(info.driver)),
    ];
    let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Engine { api, world_id, facts, attributes })
}

#[async_trait]
impl Driver for Docker {
    async fn ensure(&self, desired: &Desired) -> Result<Observed, Failure> {
        self.ensure_staged(desired, &Stage::unobserved()).await
    }

    async fn ensure_staged(&self, desired: &Desired, stage: &Stage) -> Result<Observed, Failure> {
        self.host.ensure(desired, stage).await
    }

    async fn list(&self) -> Result<Vec<Observed>, Failure> {
        let all = self.host.look_at_all().await?;
        let looks = all.iter().map(|(id, found)| async move {
            let session = self.host.session(*id);
            self.host.adopt(&session, found).await;
            let observed = self.host.observed(&session, found);
            session.now().told = Some((observed.state, observed.generation));
            observed
        });
        Ok(futures::future::join_all(looks).await)
    }

    async fn observe(&self, session_id: Uuid) -> Result<Option<Observed>, Failure> {
        let found = self.host.look(session_id).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let session = self.host.session(session_id);
        self.host.adopt(&session, &found).await;
        let observed = self.host.observed(&session, &found);
        session.now().told = Some((observed.state, observed.generation));
        Ok(Some(observed))
    }

    async fn changed(&self) -> Uuid {
        match self.changes.lock().await.recv().await {
            Some(session) => session,
            None => std::future::pending().await,
        }
    }

    async fn capacity(&self) -> Capacity {
        let sessions = self.host.sessions().values().filter(|session| session.now().ready.is_some()).count() as u32;
        let info = tokio::time::timeout(FIGURES, self.host.api.info()).await;
        let info = info.ok().and_then(Result::ok).unwrap_or_default();
        Capacity {
            sessions_max: self.host.config.sessions_max,
            sessions,
            memory_bytes: info.mem_total.unwrap_or_default().cast_unsigned(),
            cpu_millis: info.ncpu.unwrap_or_default().cast_unsigned() * 1000,
            ..Capacity::default()
        }
    }

    fn platform(&self) -> &str {
        "docker"
    }

    fn cluster_info(&self) -> Object {
        self.facts.clone()
    }

    fn attributes(&self) -> Object {
        self.attributes.clone()
    }

    fn keeps(&self) -> Keeps {
        Keeps::Filesystem // the container is stopped or paused, not removed
    }

    fn world_id(&self) -> Uuid {
        self.world_id
    }

    fn capabilities(&self) -> Vec<String> {
        ["sessions", "applications", "templates", "keeps-files", "homes"].map(String::from).to_vec()
    }

    async fn log(&self, session_id: Uuid, bytes: u32) -> Result<LogEnd, Failure> {
        self.host.log_end(session_id, bytes as usize).await
    }

    async fn homes(&self, user_id: Option<&str>) -> Result<Vec<Home>, Failure> {
        self.host.homes_kept(user_id).await
    }

    async fn delete_home(&self, name: &str) -> Result<(), Failure> {
        self.host.remove_home(name).await
    }

    async fn install(&self, app: &AppInstall, progress: &Progress) -> Result<String, Failure> {
        self.host.install(app, progress).await
    }
}
