//! The API of one test, with everything real behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::Engine;
use engine::clock::Clock;
use engine::store::session;
use futures::StreamExt;
use migrations::connect::Database;
use migrations::testing::TestDatabase;
use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem::{Endpoint, EndpointExt, Request, Response};
use sea_orm::{EntityTrait, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use streams::testing::{Nats, nats};
use uuid::Uuid;

pub(crate) const TOKEN: &str = "a-token-for-tests";

pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) nats: Nats,
    pub(crate) clock: Clock,
    pub(crate) config: api::Config,
    pub(crate) endpoint: Arc<BoxEndpoint<'static, Response>>,
    database: Database,
    _own: Option<TestDatabase>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: poem::http::HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The type of its problem.
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.json["status"], self.status, "{self:?}");
        self.json["type"].as_str().unwrap_or_default().trim_start_matches("/problems/")
    }

    /// The fields named by its problem.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["field"].as_str()).collect()
    }
}

impl App {
    pub(crate) async fn start() -> Result<Self> {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut api::Config)) -> Result<Self> {
        let own = TestDatabase::sqlite().await?;
        let app = Self::behind(own.database.clone(), change).await?;
        Ok(Self { _own: Some(own), ..app })
    }

    /// An API on the given database.
    pub(crate) async fn on(database: &TestDatabase) -> Result<Self> {
        Self::behind(database.database.clone(), |_| {}).await
    }

    async fn behind(database: Database, change: impl FnOnce(&mut api::Config)) -> Result<Self> {
        let (nats, clock) = (nats().await, Clock::default());
        let engine = Engine::start(engine::Config {
            database: database.clone(),
            link: nats.link().await?,
            streams: streams::topology::Settings::default(),
            default_platform: "local".into(),
            outbox_limit: engine::OUTBOX_LIMIT,
            retention: None,
            admission: machine::admission::Policy::Open,
            clock: clock.clone(),
        })
        .await?;
        let mut config = config();
        change(&mut config);
        let endpoint = Arc::new(api::router(config.clone(), engine.clone()).boxed());
        Ok(Self { engine, nats, clock, config, endpoint, database, _own: None })
    }

    /// Number of stored idempotency keys.
    pub(crate) async fn keys(&self) -> Vec<String> {
        use engine::store::idempotency_key::{Column, Entity};
        let keys = Entity::find().select_only().column(Column::Key).order_by_asc(Column::Key).into_tuple();
        keys.all(&self.database.reader).await.unwrap_or_default()
    }

    /// Checks that folding the log of the session at this path gives its row.
    pub(crate) async fn folds(&self, path: &str) -> Result<()> {
        let id: Uuid = path.rsplit('/').next().unwrap_or_default().parse()?;
        let row = engine::queries::session(self.engine.reader(), id).await?.expect("a session");
        let folded = engine::fold::fold(self.engine.reader(), &session::Model::entity(id)).await?;
        assert_eq!(folded, row.hard()?);
        Ok(())
    }

    /// A controller of the platform noop that does one thing at a time.
    pub(crate) async fn controller(&self) -> Result<Controller> {
        self.controller_of("noop").await
    }

    /// The same of another platform.
    pub(crate) async fn controller_of(&self, platform: &str) -> Result<Controller> {
        let link = self.nats.link().await?;
        let commands = link.client.subscribe(format!("streamspace.session.*.{platform}")).await?;
        link.client.flush().await?;
        let id = format!("{platform}-1");
        let beat = json!({
            "controller_id": id, "platform": platform, "timestamp": "2026-01-01T00:00:00Z", "status": "healthy",
            "capabilities": ["sessions"],
        });
        until("the controller is listed", async || {
            // core NATS stores nothing, so repeat it until it is received
            let _ = link.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await;
            self.get(&format!("/api/v1/controllers/{id}")).await.status == 200
        })
        .await;
        Ok(Controller { id, client: link.client.clone(), commands: tokio::sync::Mutex::new(commands) })
    }

    pub(crate) async fn send(&self, request: Request) -> Answer {
        let response = self.endpoint.get_response(request).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.into_body().into_string().await.unwrap_or_default();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, headers, text, json }
    }

    /// A response with a streaming body, which ends when it is dropped.
    pub(crate) async fn watch(&self, path: &str) -> Response {
        self.endpoint.get_response(request(Method::GET, path).finish()).await
    }

    /// Sends any request, and returns the raw response.
    pub(crate) async fn watch_open(&self, request: Request) -> Response {
        self.endpoint.get_response(request).await
    }

    /// The status of a response whose body may be a stream.
    pub(crate) async fn watch_any(&self, method: Method, path: &str) -> u16 {
        self.endpoint.get_response(request(method, path).finish()).await.status().as_u16()
    }

    /// A request with the token and without a body.
    pub(crate) async fn call(&self, method: Method, path: &str) -> Answer {
        self.send(request(method, path).finish()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).await
    }

    pub(crate) async fn post(&self, path: &str, content_type: &str, body: impl Into<poem::Body>) -> Answer {
        self.send(request(Method::POST, path).content_type(content_type).body(body)).await
    }

    /// Creates a session of the built-in template, which waits for a controller.
    pub(crate) async fn session(&self, body: Value) -> Answer {
        self.post("/api/v1/sessions", "application/json", body.to_string()).await
    }
}

pub(crate) fn config() -> api::Config {
    api::Config::new(api::Secret::new(TOKEN))
}

/// Adds the token.
pub(crate) fn request(method: Method, path: &str) -> poem::RequestBuilder {
    Request::builder().method(method).uri_str(path).header("authorization", format!("Bearer {TOKEN}"))
}

/// Polls until the condition holds, with a deadline.
pub(crate) async fn until<F: AsyncFn() -> bool>(what: &str, so: F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so().await {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A controller of the core lane, as simple as the contract permits.
pub(crate) struct Controller {
    id: String,
    client: async_nats::Client,
    commands: tokio::sync::Mutex<async_nats::Subscriber>,
}

impl Controller {
    /// Takes the next command, and reports this state of its session.
    pub(crate) async fn report_next(&self, status: &str) -> Result<()> {
        let mut commands = self.commands.lock().await;
        let command = tokio::time::timeout(Duration::from_secs(20), commands.next()).await?.expect("a command");
        let command: Value = serde_json::from_slice(&command.payload)?;
        let report = json!({
            "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "session_id": command["session_id"],
            "status": status, "controller_id": self.id, "causation_id": command["event_id"],
        });
        Ok(self.client.publish("streamspace.session.status", report.to_string().into()).await?)
    }
}
