//! Everything around a driver, the same for every platform.
//!
//! A start goes: connect, beat, wait until the engine takes this host for the one with its id, and has made its consumer, tell
//! the world, work. What was started before a stop is finished, within bounds; what was not is delivered again, here or to a
//! standby.

mod application;
mod changes;
mod command;
mod config;
mod handler;
mod heartbeat;
mod lanes;
mod loops;
mod questions;
mod report;
mod seen;
mod steps;
mod world;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use async_trait::async_trait;
use streams::{
    connect::{self, Link},
    parking::Parker,
    permissions::Role,
    publisher::Publisher,
    source::Source,
    subject, topology,
    worker::{self, Delivery, Held, Verdict},
};
use tokio::sync::{RwLock, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::driver::{Driver, Observed};
use command::Order;
use heartbeat::Heard;
use lanes::Lanes;
use loops::{Subscription, Unlooked};
use report::Reporter;
use seen::Seen;
use steps::Steps;

pub use config::Config;

/// Between two looks for a consumer that the engine has not made yet.
const BIND_PAUSE: Duration = Duration::from_millis(500);
/// Commands that are held and have not begun. It is more than an engine ever has under way for one controller, so that a
/// delete is seen behind all the starts that came before it.
const AHEAD: usize = 8_192;

/// Why a controller could not run. What goes wrong while it runs is waited out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// NATS refused it for good: bad credentials, a bad address.
    #[error("NATS: {0}")]
    Connect(#[from] connect::Error),
    /// Another host has its id, and is in charge. What was under way is delivered again, there.
    #[error("{0}")]
    Replaced(String),
    /// It may not listen for what the engine asks.
    #[error("cannot subscribe to {subject}: {source}")]
    Subscribe {
        /// What it wanted to hear.
        subject: String,
        /// Why not.
        source: async_nats::SubscribeError,
    },
}

/// One controller at work.
struct Controller {
    config: Config,
    driver: Arc<dyn Driver>,
    reporter: Reporter,
    steps: Steps,
    lanes: Lanes,
    seen: Seen,
    /// What became of the newest heartbeat.
    heard: watch::Sender<Heard>,
    /// An engine has answered a heartbeat on this controller's own subject.
    own_subject: AtomicBool,
    /// An engine has accepted a heartbeat of this run.
    accepted: AtomicBool,
    /// What is being worked on, as it was announced.
    making: Mutex<HashMap<Uuid, Observed>>,
    unlooked: Unlooked,
    /// The request for the inventory that is being answered.
    owed: Mutex<Option<Uuid>>,
}

/// Runs a controller until it is cancelled.
///
/// # Errors
/// What no patience can mend: see [`enum@Error`].
pub async fn run(config: Config, driver: Arc<dyn Driver>, cancel: CancellationToken) -> Result<(), Error> {
    let Some(link) = connected(&config, &cancel).await? else { return Ok(()) };
    let publisher = Publisher::new(link.clone(), config.metrics.clone());
    let controller = Arc::new(Controller::new(config, driver, publisher.clone(), cancel.clone()));
    let heart = CancellationToken::new();
    let last_beat = controller.start_beating(&link, &heart);
    let heart = heart.drop_guard();
    let limit = tokio::spawn(abandon_after(cancel.clone(), controller.clone()));
    let worked = loop {
        let worked = controller.clone().work(&link, Parker::new(publisher.clone()), cancel.clone()).await;
        match &worked {
            // it began because no engine answered in time, so it waits like any other host that is not let in
            Err(Error::Replaced(reason)) if controller.is_untried() => tracing::warn!(reason, "waits for admission"),
            _ => break worked,
        }
    };
    drop(heart);
    limit.abort();
    last_beat.cancelled().await; // it ends at once, and no later heartbeat contradicts the last one
    if !matches!(worked, Err(Error::Replaced(_))) {
        controller.take_leave(&link).await;
    }
    worked
}

/// The handler of this controller's lane.
struct Commands(Arc<Controller>);

#[async_trait]
impl worker::Handler for Commands {
    async fn handle(&self, delivery: &Delivery, held: Held) -> Verdict {
        self.0.carry_out(delivery, held).await
    }
}

/// A connection, however long it takes; `None` where it was told to stop before there was one.
async fn connected(config: &Config, cancel: &CancellationToken) -> Result<Option<Link>, Error> {
    let role = Role::Controller(config.platform.clone(), config.controller_id.clone());
    let nats = connect::Config { inbox: role.inbox(), ..config.nats.clone() };
    match connect::connect_patiently(&nats, cancel).await {
        Ok(link) => Ok(Some(link)),
        Err(connect::Error::Cancelled { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A stop waits for starts and for reports only so long.
async fn abandon_after(cancel: CancellationToken, controller: Arc<Controller>) {
    cancel.cancelled().await;
    tokio::time::sleep(controller.config.stop_patience).await;
    controller.reporter.abandon.cancel();
}

impl Controller {
    fn new(config: Config, driver: Arc<dyn Driver>, publisher: Publisher, stopping: CancellationToken) -> Self {
        let reporter = Reporter {
            publisher,
            controller_id: config.controller_id.clone(),
            platform: config.platform.clone(),
            instance_id: Uuid::now_v7(),
            order: RwLock::default(),
            abandon: CancellationToken::new(),
            told: Mutex::default(),
        };
        let (steps, lanes) = (Steps::default(), Lanes::new(config.slots, stopping));
        let (seen, heard) = (Seen::default(), watch::Sender::new(Heard::Nothing));
        Self {
            config,
            driver,
            reporter,
            steps,
            lanes,
            seen,
            heard,
            own_subject: AtomicBool::default(),
            accepted: AtomicBool::default(),
            making: Mutex::default(),
            unlooked: Unlooked::default(),
            owed: Mutex::default(),
        }
    }

    /// From the first heartbeat to the last report.
    async fn work(self: Arc<Self>, link: &Link, parker: Parker, cancel: CancellationToken) -> Result<(), Error> {
        let subject = subject::sync(&self.config.platform, &self.config.controller_id);
        let requests = link.client.subscribe(subject.clone()).await;
        let requests = shared(requests.map_err(|source| Error::Subscribe { subject, source })?);
        let subject = subject::question(&self.config.platform, &self.config.controller_id);
        let questions = link.client.subscribe(subject.clone()).await;
        let questions = shared(questions.map_err(|source| Error::Subscribe { subject, source })?);
        // The world comes before any work, so that what died while nobody was here is not found out by a command.
        let ready = self.may_work(&cancel).await && self.expected(link, &cancel).await;
        if !ready || self.tell_world(Uuid::now_v7()).await.is_err() {
            return Ok(());
        }
        tracing::info!(controller.id = %self.config.controller_id, platform = %self.config.platform,
            world.id = %self.driver.world_id(), slots = self.config.slots, "works");
        let Config { platform, controller_id, metrics, .. } = self.config.clone();
        let source = Source::controller(link.clone(), platform, controller_id, metrics);
        let handler = Arc::new(Commands(self.clone()));
        let loops = cancel.child_token();
        let ended = [
            self.start_syncs(requests, &loops),
            self.start_questions(questions, link.client.clone(), &loops),
            self.start_changes(&loops),
        ];
        let _loops = loops.drop_guard(); // they end with this work, however it ends
        let working = async {
            worker::run(source, AHEAD, handler, parker, cancel.clone()).await;
            cancel.cancelled().await;
            for ended in &ended {
                ended.cancelled().await;
            }
            Ok(())
        };
        tokio::select! {
            done = working => done,
            reason = self.is_replaced() => Err(Error::Replaced(reason)),
        }
    }

    /// Waits until the engine, having heard a heartbeat, has made this controller's consumer; false where it was told to
    /// stop before that.
    async fn expected(&self, link: &Link, cancel: &CancellationToken) -> bool {
        let (platform, id) = (&self.config.platform, &self.config.controller_id);
        let mut said = false;
        loop {
            match topology::bind_controller_consumer(&link.jetstream, platform, id).await {
                Ok(Some(_)) => return true,
                Ok(None) if said => {}
                Ok(None) => {
                    tracing::info!("waits for the engine to make its consumer");
                    said = true;
                }
                Err(error) => tracing::warn!(%error, "cannot look for its consumer"),
            }
            if cancel.run_until_cancelled(tokio::time::sleep(BIND_PAUSE)).await.is_none() {
                return false;
            }
        }
    }

    fn making_table(&self) -> MutexGuard<'_, HashMap<Uuid, Observed>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being worked on.
    fn making(&self) -> Vec<Observed> {
        self.making_table().values().cloned().collect()
    }

    /// Notes what is being worked on for as long as the answer lives.
    fn make(&self, order: &Order) -> Making<'_> {
        let session = order.desired.session_id;
        let under_way = Observed::bare(session, order.desired.generation, order.announcement);
        self.making_table().insert(session, under_way);
        Making { controller: self, session }
    }
}

fn shared(subscriber: async_nats::Subscriber) -> Subscription {
    Arc::new(tokio::sync::Mutex::new(subscriber))
}

struct Making<'a> {
    controller: &'a Controller,
    session: Uuid,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.controller.making_table().remove(&self.session);
    }
}
