//! One test's own API, with everything real behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::Engine;
use engine::clock::Clock;
use migrations::testing::TestDatabase;
use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem::{Endpoint, EndpointExt, Request, Response};
use serde_json::Value;
use streams::testing::{Nats, nats};

pub(crate) const TOKEN: &str = "a-token-for-tests";

pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) nats: Nats,
    pub(crate) config: api::Config,
    pub(crate) endpoint: Arc<BoxEndpoint<'static, Response>>,
    _database: TestDatabase,
}

/// What came back.
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

    /// The type of the problem that it is.
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.json["status"], self.status, "{self:?}");
        self.json["type"].as_str().unwrap_or_default().trim_start_matches("/problems/")
    }

    /// The fields that it names.
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
        let (database, nats) = (TestDatabase::sqlite().await?, nats().await);
        let engine = Engine::start(engine::Config {
            database: database.database.clone(),
            link: nats.link().await?,
            streams: streams::topology::Settings::default(),
            default_platform: "local".into(),
            outbox_limit: engine::OUTBOX_LIMIT,
            clock: Clock::default(),
        })
        .await?;
        let mut config = config();
        change(&mut config);
        let endpoint = Arc::new(api::router(config.clone(), engine.clone()).boxed());
        Ok(Self { engine, nats, config, endpoint, _database: database })
    }

    pub(crate) async fn send(&self, request: Request) -> Answer {
        let response = self.endpoint.get_response(request).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.into_body().into_string().await.unwrap_or_default();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, headers, text, json }
    }

    /// A request without a body, with the token.
    pub(crate) async fn call(&self, method: Method, path: &str) -> Answer {
        self.send(request(method, path).finish()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).await
    }

    pub(crate) async fn post(&self, path: &str, content_type: &str, body: impl Into<poem::Body>) -> Answer {
        self.send(request(Method::POST, path).content_type(content_type).body(body)).await
    }

    /// A session of the built-in template, which waits for a controller.
    pub(crate) async fn session(&self, body: Value) -> Answer {
        self.post("/api/v1/sessions", "application/json", body.to_string()).await
    }
}

pub(crate) fn config() -> api::Config {
    api::Config::new(api::Secret::new(TOKEN))
}

/// With the token.
pub(crate) fn request(method: Method, path: &str) -> poem::RequestBuilder {
    Request::builder().method(method).uri_str(path).header("authorization", format!("Bearer {TOKEN}"))
}

/// Asks again until it is so; a deadline, not a wait.
pub(crate) async fn until<F: AsyncFn() -> bool>(what: &str, so: F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so().await {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
