//! An engine on its own database and its own nats-server, and a scripted controller that speaks the contract by hand.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use engine::clock::Clock;
use engine::store::{dead_letter, event, session};
use engine::{Config, CreateSession, Engine};
use futures::StreamExt;
use migrations::testing::TestDatabase;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use streams::wire::Manifest;
use uuid::Uuid;

pub(crate) const PLATFORM: &str = "noop";
pub(crate) const OWNER: &str = "host-1";

pub(crate) struct Rig {
    pub(crate) engine: Arc<Engine>,
    pub(crate) database: TestDatabase,
    pub(crate) nats: streams::testing::Nats,
    pub(crate) client: async_nats::Client,
    pub(crate) clock: Clock,
}

/// Polls until `probe` gives something, for at most twenty seconds.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    for _ in 0..1000 {
        if let Some(found) = probe().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain: {what}");
}

impl Rig {
    pub(crate) async fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite().await.expect("a database")).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::on(TestDatabase::postgres().await.expect("a database")).await
    }

    pub(crate) async fn on(database: TestDatabase) -> Self {
        let nats = streams::testing::nats().await;
        let clock = Clock::default();
        let engine = start(&database, &nats, &clock).await;
        let client = nats.link().await.expect("connected").client;
        let rig = Self { engine, database, nats, client, clock };
        let manifest = Manifest::parse_all(
            "{apiVersion: stream.space/v1alpha1, kind: Template, metadata: {name: app}, spec: {displayName: App}}",
        );
        rig.engine.put_templates(manifest.expect("a manifest")).await.expect("written");
        rig
    }

    /// Stops the engine and starts another on the same database and server.
    pub(crate) async fn restart(&mut self) {
        self.engine.stop().await;
        self.engine = start(&self.database, &self.nats, &self.clock).await;
    }

    /// Starts another engine in its place, which lets no more commands wait than this.
    pub(crate) async fn limit(&mut self, outbox_limit: i64) {
        self.engine.stop().await;
        let config = Config { outbox_limit, ..config(&self.database, &self.nats, &self.clock).await };
        self.engine = Engine::start(config).await.expect("started");
    }

    /// Starts another engine in its place, whose streams may hold no more than this.
    pub(crate) async fn streams(&mut self, streams: streams::topology::Settings) {
        self.engine.stop().await;
        let config = Config { streams, ..config(&self.database, &self.nats, &self.clock).await };
        self.engine = Engine::start(config).await.expect("started");
    }

    /// Starts another engine in its place, which takes away what of the log is old.
    pub(crate) async fn retain(&mut self, settings: engine::retention::Settings) {
        self.engine.stop().await;
        let config = Config { retention: Some(settings), ..config(&self.database, &self.nats, &self.clock).await };
        self.engine = Engine::start(config).await.expect("started");
    }

    /// Starts another engine in its place, with this platform for requests that name none.
    pub(crate) async fn default_platform(&mut self, default_platform: engine::DefaultPlatform) {
        self.engine.stop().await;
        let config = Config { default_platform, ..config(&self.database, &self.nats, &self.clock).await };
        self.engine = Engine::start(config).await.expect("started");
    }

    /// Starts another engine in its place, with this rule for new controllers.
    pub(crate) async fn admission(&mut self, admission: machine::admission::Policy) {
        self.engine.stop().await;
        let config = Config { admission, ..config(&self.database, &self.nats, &self.clock).await };
        self.engine = Engine::start(config).await.expect("started");
    }

    pub(crate) async fn create(&self) -> session::Model {
        self.engine.create_session(request()).await.expect("accepted")
    }

    /// A session that its controller has started, and the command that asked for it.
    pub(crate) async fn running(&self, controller: &mut Controller) -> (Uuid, Value) {
        let id = self.create().await.session_id;
        let command = controller.take().await;
        controller.report(&command, "running").await;
        self.until(id, "running").await;
        (id, command)
    }

    pub(crate) async fn session(&self, id: Uuid) -> session::Model {
        engine::queries::session(self.engine.reader(), id).await.expect("readable").expect("a session")
    }

    pub(crate) async fn until(&self, id: Uuid, status: &str) -> session::Model {
        let what = format!("session {id} is {status}");
        eventually(&what, || async { Some(self.session(id).await).filter(|row| row.status == status) }).await
    }

    pub(crate) async fn log(&self, id: Uuid) -> Vec<event::Model> {
        let entity = session::Model::entity(id);
        engine::queries::events(self.engine.reader(), &entity, 0, 1000).await.expect("readable")
    }

    /// The commands of a session's log as (verb, status).
    pub(crate) async fn commands(&self, id: Uuid) -> Vec<(String, String)> {
        let rows = self.log(id).await;
        let commands = rows.iter().filter(|row| row.kind == "command");
        let verb = |row: &event::Model| row.subject.split('.').skip(1).take(2).collect::<Vec<_>>().join(".");
        commands.map(|row| (verb(row), row.status.clone().unwrap_or_default())).collect()
    }

    pub(crate) async fn dead_letters(&self) -> Vec<dead_letter::Model> {
        let newest = dead_letter::Entity::find().order_by_asc(dead_letter::Column::CreatedMs);
        newest.all(self.engine.reader()).await.expect("readable")
    }

    pub(crate) async fn dead_letter(&self, reason: &str) -> dead_letter::Model {
        let find = || dead_letter::Entity::find().filter(dead_letter::Column::Reason.eq(reason));
        eventually(reason, || async { find().one(self.engine.reader()).await.expect("readable") }).await
    }

    /// A durable controller that has announced itself and has its consumer.
    pub(crate) async fn controller(&self) -> Controller {
        self.announced().await.listen().await
    }

    /// The same by another id.
    pub(crate) async fn controller_named(&self, id: &str) -> Controller {
        self.announced_as(id, json!({})).await.listen().await
    }

    /// The first, before it asks for anything.
    pub(crate) async fn announced(&self) -> Announced {
        self.announced_as(OWNER, json!({})).await
    }

    pub(crate) async fn announced_as(&self, id: &str, labels: Value) -> Announced {
        let jetstream = async_nats::jetstream::new(self.client.clone());
        let instance = Uuid::now_v7();
        let mut beat = heartbeat(2, instance);
        beat["controller_id"] = json!(id);
        beat["labels"] = labels;
        self.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
        let consumer = eventually("the consumer", || async {
            let stream = jetstream.get_stream("SS_COMMANDS").await.ok()?;
            stream.get_consumer::<pull::Config>(&format!("{PLATFORM}_{id}")).await.ok()
        })
        .await;
        Announced { jetstream, consumer, instance, id: id.to_owned() }
    }
}

/// A controller that has its consumer and has not pulled yet.
pub(crate) struct Announced {
    jetstream: async_nats::jetstream::Context,
    consumer: async_nats::jetstream::consumer::Consumer<pull::Config>,
    instance: Uuid,
    id: String,
}

impl Announced {
    pub(crate) async fn listen(self) -> Controller {
        let pull = self.consumer.stream().max_messages_per_batch(1).expires(Duration::from_secs(4)).group("active");
        let commands = pull.messages().await.expect("pulling");
        Controller { jetstream: self.jetstream, commands, instance: self.instance, id: self.id }
    }
}

pub(crate) async fn start(database: &TestDatabase, nats: &streams::testing::Nats, clock: &Clock) -> Arc<Engine> {
    Engine::start(config(database, nats, clock).await).await.expect("started")
}

async fn config(database: &TestDatabase, nats: &streams::testing::Nats, clock: &Clock) -> Config {
    Config {
        database: database.database.clone(),
        link: nats.link().await.expect("connected"),
        streams: streams::topology::Settings::default(),
        default_platform: PLATFORM.into(),
        outbox_limit: engine::OUTBOX_LIMIT,
        retention: None,
        admission: machine::admission::Policy::Open,
        clock: clock.clone(),
    }
}

pub(crate) fn request() -> CreateSession {
    CreateSession { template_id: "app".into(), user_id: "ann".into(), ..CreateSession::default() }
}

pub(crate) fn heartbeat(protocol: u32, instance: Uuid) -> Value {
    json!({ "controller_id": OWNER, "platform": PLATFORM, "timestamp": "2026-01-01T00:00:00Z", "status": "healthy",
        "version": "1.0.0", "capabilities": ["sessions", "applications"], "cluster_info": {}, "protocol": protocol,
        "instance_id": instance, "capacity": { "sessions_max": 1000, "sessions": 0 } })
}

/// What a controller of the durable lane does, one step at a time.
pub(crate) struct Controller {
    jetstream: async_nats::jetstream::Context,
    commands: pull::Stream,
    pub(crate) instance: Uuid,
    id: String,
}

impl Controller {
    /// The next command, acknowledged.
    pub(crate) async fn take(&mut self) -> Value {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while let Ok(Some(next)) = tokio::time::timeout_at(deadline, self.commands.next()).await {
            if let Ok(message) = next {
                message.double_ack().await.expect("acknowledged");
                return serde_json::from_slice(&message.payload).expect("JSON");
            }
        }
        panic!("no command came");
    }

    /// Is given a command so many times and gives it back each time, as one whose process is gone before it begins does.
    pub(crate) async fn takes_in_vain(&mut self, times: usize) {
        for _ in 0..times {
            let next = tokio::time::timeout(Duration::from_secs(20), self.commands.next()).await;
            let message = next.expect("in time").expect("a command").expect("readable");
            message.ack_with(async_nats::jetstream::AckKind::Nak(None)).await.expect("given back");
        }
    }

    pub(crate) async fn publish(&self, subject: &str, payload: Value) {
        let ack = self.jetstream.publish(subject.to_owned(), payload.to_string().into()).await.expect("sent");
        ack.await.expect("stored");
    }

    /// A report on a command, with more fields.
    pub(crate) fn status(&self, command: &Value, status: &str, more: Value) -> Value {
        let mut report = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z",
            "session_id": command["session_id"], "status": status, "generation": command["generation"],
            "causation_id": command["event_id"], "attempt": command["attempt"], "controller_id": self.id,
            "instance_id": self.instance });
        for (name, value) in more.as_object().into_iter().flatten() {
            report[name] = value.clone();
        }
        report
    }

    pub(crate) async fn report(&self, command: &Value, status: &str) {
        self.publish(&self.lane(), self.status(command, status, json!({}))).await;
    }

    pub(crate) async fn fail(&self, command: &Value, retryable: bool) {
        let error = json!({ "code": "boom", "message": "it went boom", "retryable": retryable });
        self.publish(&self.lane(), self.status(command, "failed", json!({ "error": error }))).await;
    }

    /// Where it reports.
    fn lane(&self) -> String {
        format!("streamspace.session.status.{PLATFORM}.{}", self.id)
    }
}

/// Where the scripted controller reports.
pub(crate) fn lane() -> String {
    format!("streamspace.session.status.{PLATFORM}.{OWNER}")
}
