//! The engine: what is true, and what is to be done about it.
//!
//! Intents and reports come in, the machine decides, the writer commits, the relay publishes. Each file here is one answer to
//! "what happens when …"; ARCHITECTURE.md walks the whole trip.

pub mod account;
pub mod amendment;
mod applications;
pub mod attempts;
pub mod causes;
pub mod clock;
mod controllers;
mod courier;
mod dead_letters;
pub mod doctor;
pub mod durability;
pub mod edit;
mod ends;
mod entities;
pub mod events;
pub mod fate;
pub mod feed;
pub mod fold;
mod heartbeats;
mod hint;
pub mod history;
pub mod jobs;
mod loops;
pub mod metrics;
mod open;
mod parts;
mod placement;
mod platforms;
mod projector;
pub mod queries;
pub mod questions;
pub mod queue;
mod read_error;
mod relay;
mod replay;
pub mod request;
pub mod retention;
mod sessions;
mod signal;
mod sizes;
pub mod store;
mod stuck;
mod templates;
pub mod timers;
pub mod use_cases;
pub mod verify;
mod watched;
mod worlds;
pub mod writer;

use std::sync::Arc;

use migrations::connect::Database;
use streams::connect::{Link, State};
use streams::publisher::Publisher;
use streams::tasks::{Role, Supervisor};
use streams::topology;
use streams::wire::Manifest;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use clock::Clock;
use courier::{Courier, Epoch};
use feed::Feed;
use parts::Parts;
use platforms::Platforms;
use templates::Templates;
use writer::{Rebuild, TemplateWrite, Wakes, Writer};

pub use amendment::{AmendSession, Amendment};
pub use applications::InstallApplication;
pub use courier::{Error, Rebuilt};
pub use dead_letters::MOST_OPEN as OPEN_LETTERS;
pub use hint::Hint;
pub use migrations::Class;
pub use platforms::{Announced, DefaultPlatform, check_schema};
pub use read_error::ReadError;
pub use replay::Error as ReplayError;
pub use request::{CreateSession, FieldError, Invalid};
pub use watched::{News, Watch};
pub use writer::Error as WriteError;

/// Commands that may wait to be carried out, unless a configuration says otherwise.
pub const OUTBOX_LIMIT: i64 = 200_000;

/// The templates that every installation has.
const BUILT_IN: &str = include_str!("built_in.yaml");

/// What an engine is made of.
#[derive(Debug)]
pub struct Config {
    /// Migrated and open.
    pub database: Database,
    /// Connected.
    pub link: Link,
    /// Sizes and replicas of the streams.
    pub streams: topology::Settings,
    /// The platform of a session that names none.
    pub default_platform: DefaultPlatform,
    /// Commands that may wait to be carried out; beyond it nothing new is started.
    pub outbox_limit: i64,
    /// What of the log goes when it is old; nothing, where it is not set.
    pub retention: Option<retention::Settings>,
    /// What a controller may do that nobody has heard of before, on a platform that others serve.
    pub admission: machine::admission::Policy,
    /// The clock; tests keep a copy and move it.
    pub clock: Clock,
}

/// A running engine. Cheap to share; [`Engine::stop`] ends it.
#[derive(Debug)]
pub struct Engine {
    parts: Parts,
    publisher: Publisher,
    courier: Courier,
    feed: Feed,
    templates: Templates,
    outbox_limit: i64,
    doctor: doctor::Doctor,
    cancel: CancellationToken,
    tasks: Supervisor,
    writer_cancel: CancellationToken,
    writer_task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts every loop. The streams are declared first, so that whoever connects next finds them.
    ///
    /// # Errors
    /// Where the streams cannot be declared, or the built-in templates cannot be written.
    pub async fn start(config: Config) -> Result<Arc<Self>, Error> {
        let metrics = metrics::Metrics::default();
        let (wakes, flight) = (Arc::new(Wakes::default()), Arc::<relay::Flight>::default());
        let (cancel, writer_cancel) = (CancellationToken::new(), CancellationToken::new());
        let (database, clock) = (config.database, config.clock);
        let sizes = sizes::Sizes::default();
        let (wakes_of, flight_of, metrics_of, sizes_of) =
            (wakes.clone(), flight.clone(), metrics.clone(), sizes.clone());
        let admission = config.admission;
        let among =
            writer::Among { wakes: wakes_of, flight: flight_of, metrics: metrics_of, sizes: sizes_of, admission };
        let tasks = Supervisor::new(metrics.tasks.clone());
        let task = tasks.track("writer", Role::Essential, &writer_cancel);
        let (writer, writer_task) = Writer::start(database.clone(), clock.clone(), among, task);
        let since_ms = clock.now_ms(&database.reader).await?;
        let settings = streams::topology::Settings { since_ms, ..config.streams };
        let (stuck, link, all) = (Arc::default(), config.link, tasks.clone());
        let parking_key = store::secret::parking_key(&database.writer, since_ms).await?;
        let built_ins = Manifest::parse_all(BUILT_IN).unwrap_or_default(); // a test keeps the file well-formed
        let platforms = Platforms::new(config.default_platform, &built_ins);
        let parts = Parts {
            database,
            link,
            writer,
            clock,
            wakes,
            flight,
            stuck,
            sizes,
            metrics,
            tasks: all,
            parking_key,
            platforms,
        };
        let publisher = Publisher::new(parts.link.clone(), parts.metrics.nats.clone());
        let doctor = doctor::Doctor::new(parts.clone(), settings.clone(), config.outbox_limit);
        let courier = Courier {
            parts: parts.clone(),
            settings,
            epoch: Epoch::default(),
            renewed: Arc::new(Notify::new()),
            memory: Arc::default(),
        };
        courier.look().await?;
        let feed = Feed::new(parts.database.reader.clone(), parts.metrics.feed.clone());
        let loops = loops::Loops {
            parts: parts.clone(),
            publisher: publisher.clone(),
            courier: courier.clone(),
            feed: feed.clone(),
            outbox_limit: config.outbox_limit,
            retention: config.retention,
        };
        loops.spawn(&parts.tasks, &cancel);
        let engine = Arc::new(Self {
            parts,
            publisher,
            courier,
            feed,
            templates: Templates::new(),
            outbox_limit: config.outbox_limit,
            doctor,
            cancel,
            tasks,
            writer_cancel,
            writer_task: tokio::sync::Mutex::new(Some(writer_task)),
        });
        engine.install_built_ins(built_ins).await?;
        Ok(engine)
    }

    async fn install_built_ins(&self, manifests: Vec<Manifest>) -> Result<(), Error> {
        let write = TemplateWrite::Put { manifests, built_in: true };
        self.parts.writer.enqueue(write, None).await?;
        Ok(())
    }

    /// Ends every loop, after what each has begun; the writer last.
    pub async fn stop(&self) {
        self.cancel.cancel();
        self.tasks.ended().await;
        self.writer_cancel.cancel();
        if let Some(task) = self.writer_task.lock().await.take() {
            let _ = task.await;
        }
    }

    /// Whether more may be started. What stops and deletes is always taken.
    pub(crate) fn room(&self) -> Result<(), WriteError> {
        let (waiting, limit) = (self.parts.writer.backlog().get(), self.outbox_limit);
        if waiting >= limit { Err(WriteError::Backlog { waiting, limit }) } else { Ok(()) }
    }

    /// Makes the streams of commands and reports anew and publishes every open command again, in the name of `by`, who says why.
    ///
    /// # Errors
    /// Why it was not done, or not to its end; then the engine goes on with it by itself as soon as NATS lets it.
    pub async fn rebuild_streams(&self, why: String, by: String) -> Result<Rebuilt, Error> {
        self.parts.writer.submit(Rebuild { why, by }).await?;
        self.courier.rebuild().await
    }

    /// Where an event is now, and how it came there; `None` where there is no such event.
    ///
    /// # Errors
    /// What the database says. What NATS does not say is told as unknown.
    pub async fn fate(&self, event_id: uuid::Uuid) -> Result<Option<fate::Fate>, ReadError> {
        Ok(fate::of(&self.parts.database.reader, &self.parts.link, event_id).await?)
    }

    /// Where reads go.
    #[must_use]
    pub fn reader(&self) -> &sea_orm::DatabaseConnection {
        &self.parts.database.reader
    }

    /// Every change of the log, to watch.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The connection to NATS.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.parts.link
    }

    /// Whether JetStream can be reached, and since when that is so.
    #[must_use]
    pub fn courier_state(&self) -> State {
        *self.parts.link.state.borrow()
    }

    /// How full the writer's queue is, from 0 to 1.
    #[must_use]
    pub fn writer_fullness(&self) -> f64 {
        self.parts.writer.fullness()
    }

    /// The loops that run in the background, and how each is.
    #[must_use]
    pub const fn tasks(&self) -> &Supervisor {
        &self.tasks
    }

    /// Everything that `/metrics` tells.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.parts.metrics.text()
    }
}
