//! What tests of drivers and of the runtime need: a controller on a real NATS server, and what the engine would see of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test fails by panicking

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use futures::StreamExt;
use serde_json::{Value, json};
use streams::{
    connect::Link,
    ids::{ControllerId, Platform},
    subject::{self, Verb},
    testing::{Nats, nats},
    topology,
    wire::{Heartbeat, SessionCreate, SessionStatus, World},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Config, Driver, Error, driver::Spec};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server, a controller on it, and what the engine would see.
pub struct Stage {
    nats: Nats,
    pub client: async_nats::Client,
    pub jetstream: async_nats::jetstream::Context,
    pub platform: Platform,
    pub id: ControllerId,
    pub reports: async_nats::Subscriber,
    cancel: CancellationToken,
    running: Option<JoinHandle<Result<(), Error>>>,
}

impl Stage {
    pub async fn new() -> Self {
        let nats = nats().await;
        let Link { client, jetstream, .. } = nats.declared().await.unwrap();
        let reports = client.subscribe("streamspace.>").await.unwrap();
        let (platform, id) = (Platform::try_new("test").unwrap(), ControllerId::try_new("host-1").unwrap());
        client.flush().await.unwrap();
        Self { nats, client, jetstream, platform, id, reports, cancel: CancellationToken::new(), running: None }
    }

    pub fn config(&self) -> Config {
        let nats = self.nats.config("controller");
        let heartbeat_interval = Duration::from_millis(500);
        Config { heartbeat_interval, ..Config::new(self.id.clone(), self.platform.clone(), nats) }
    }

    pub fn start(&mut self, config: Config, driver: Arc<dyn Driver>) {
        self.cancel = CancellationToken::new();
        self.running = Some(tokio::spawn(crate::run(config, driver, self.cancel.clone())));
    }

    /// Plays the engine's part after the first heartbeat.
    pub async fn begin(&mut self, driver: Arc<dyn Driver>) -> (Heartbeat, World) {
        self.start(self.config(), driver);
        let heartbeat = self.next::<Heartbeat>(subject::HEARTBEAT).await;
        topology::declare_controller_consumer(&self.jetstream, &self.platform, &self.id).await.unwrap();
        let world = self.next::<World>("streamspace.controller.world.test.host-1").await;
        (heartbeat, world)
    }

    pub async fn stop(&mut self) {
        self.cancel.cancel();
        timeout(PATIENCE, self.running.take().unwrap()).await.unwrap().unwrap().unwrap();
    }

    /// The next message on a subject; those on others are passed over.
    pub async fn next<T: serde::de::DeserializeOwned>(&mut self, subject: &str) -> T {
        loop {
            let message = timeout(PATIENCE, self.reports.next()).await.expect(subject).unwrap();
            if message.subject.as_str() == subject {
                return serde_json::from_slice(&message.payload).unwrap();
            }
        }
    }

    pub async fn status(&mut self) -> SessionStatus {
        self.next("streamspace.session.status.test.host-1").await
    }

    pub async fn send(&self, verb: Verb, payload: &Value) {
        let subject = subject::command(verb, &self.platform, &self.id);
        self.jetstream.publish(subject, payload.to_string().into()).await.unwrap().await.unwrap();
    }

    /// Commands that are not acknowledged yet.
    pub async fn open_commands(&self) -> u64 {
        self.jetstream.get_stream("SS_COMMANDS").await.unwrap().get_info().await.unwrap().state.messages
    }

    pub async fn all_acknowledged(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.open_commands().await > 0 {
            assert!(tokio::time::Instant::now() < deadline, "a command stays unacknowledged");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The command that creates a session.
pub fn create(session: Uuid, generation: i64, spec: Spec) -> SessionCreate {
    SessionCreate {
        event_id: Uuid::now_v7(),
        timestamp: Utc::now(),
        session_id: session,
        user_id: "user1".into(),
        template_id: spec.template_id,
        platform: "test".into(),
        resources: spec.resources,
        persistent_home: true,
        idle_timeout: None,
        metadata: serde_json::Map::new(),
        template: spec.template,
        generation,
        attempt: 1,
    }
}

/// Any other command for a session.
pub fn command(session: Uuid, generation: i64) -> Value {
    json!({ "event_id": Uuid::now_v7(), "timestamp": Utc::now(), "session_id": session, "user_id": "user1",
        "platform": "test", "generation": generation, "attempt": 1 })
}

/// Waits until something holds; a deadline, not a length of time.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
