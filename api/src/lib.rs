//! The API: resources, authorization and errors, over HTTP and over NATS (`nats_gateway`).
//!
//! One file per noun contains its resource and its operations. Every request passes `gate`; `problem` is the
//! only place where errors become responses; `routes` lists what exists. See this crate's README.

mod access;
mod applications;
mod auth;
mod body;
mod controllers;
mod cors;
mod cursor;
mod dead_letters;
mod deprecation;
mod doctor;
mod document;
mod events;
mod examples;
mod fate;
mod feed;
mod gate;
mod headers;
mod homes;
mod idempotency;
mod jobs;
mod json;
mod login;
mod manifests;
mod moment;
pub mod nats_gateway;
mod openapi31;
mod operators;
mod param_types;
mod platforms;
mod probes;
mod problem;
mod queue;
mod rate;
mod rebuild;
mod routes;
mod schema;
mod security_headers;
mod served;
mod server;
mod sessions;
mod tasks;
mod templates;
mod timestamp;
mod ui;

use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, EndpointExt, Response, Route};
use streams::tasks::Role;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use served::Document;

pub use cors::{BadOrigin, Origin};
pub use document::document;
pub use ipnet::IpNet;
pub use login::Codes;
pub use server::tls::{self, Tls};
pub use streams::connect::Secret;

/// Settings of the API.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bearer token of the administrator. An empty one admits no one.
    pub admin_token: Secret,
    /// Maximum bytes of a request body.
    pub max_body_bytes: usize,
    /// Maximum bytes of a body with templates; catalogs are sent in one piece.
    pub max_template_bytes: usize,
    /// Average requests per second of one principal, over HTTP and NATS; 0 means no limit.
    pub requests_per_second: u32,
    /// Burst of requests of one principal.
    pub burst: u32,
    /// Average requests per second from one address, authenticated or not; 0 means no limit.
    pub address_requests_per_second: u32,
    /// Burst of requests from one address.
    pub address_burst: u32,
    /// Proxies whose `X-Forwarded-For` is trusted; none by default.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins of pages that may use the API from a browser (CORS); none by default.
    pub cors_origins: Vec<Origin>,
    /// Limits of connections.
    pub sockets: Sockets,
    /// Certificate of the server; without one it speaks plain HTTP.
    pub tls: Option<Tls>,
    /// Maximum number of watchers of the live feed; further ones are told to retry later or elsewhere.
    pub max_watchers: usize,
    /// Maximum number of requests that wait for a session (`?wait=`).
    pub max_waiting: usize,
    /// Maximum number of requests over NATS in progress; further ones are refused.
    pub max_intake: usize,
    /// Codes for logging in to the web UI, printed by the server.
    pub login_codes: Codes,
    /// Id of the installation, for the name of the login cookie.
    pub installation: String,
    /// Version shown by the API document and `/healthz`.
    pub version: String,
}

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Sockets {
    /// Maximum number of connections. Beyond it, the one that has been idle longest is closed.
    pub connections: usize,
    /// Maximum number of connections per address; an IPv6 network of 64 bits counts as one.
    pub per_address: usize,
    /// Time limit for the head of a request, from the connection or from its first byte.
    pub head: Duration,
    /// Idle time after which a connection is closed.
    pub idle: Duration,
    /// Time limit for the body of a request.
    pub body: Duration,
    /// Time after which a client that reads nothing of its response is cut off.
    pub stall: Duration,
    /// Maximum bytes of unread responses in all; small ones and shared documents do not count.
    pub buffered: usize,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            connections: 10_000,
            per_address: 7_500,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            body: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            buffered: 256 << 20,
        }
    }
}

impl Sockets {
    /// Lowers the number of connections so that a quarter of these file descriptors, and at least 96, remain
    /// for the process' own work (database, NATS, files).
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let own = (descriptors / 4).clamp(96, 2_048);
        let room = usize::try_from(descriptors.saturating_sub(own)).unwrap_or(usize::MAX).max(16);
        let connections = self.connections.min(room);
        Self { connections, per_address: self.per_address.min(connections - connections / 4), ..self }
    }
}

impl Config {
    /// Defaults with this token: 1 MiB bodies, 4 MiB of templates, 500 requests a second per principal and
    /// 1,000 per address, 5,000 watchers.
    #[must_use]
    pub fn new(admin_token: Secret) -> Self {
        Self {
            admin_token,
            max_body_bytes: 1 << 20,
            max_template_bytes: 4 << 20,
            requests_per_second: 500,
            burst: 2_000,
            address_requests_per_second: 1_000,
            address_burst: 4_000,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            sockets: Sockets::default(),
            tls: None,
            max_watchers: 5_000,
            max_waiting: 256,
            max_intake: 256,
            login_codes: Codes::default(),
            installation: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

const JSON: &str = "application/json";

/// Why the API does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no token.
    #[error("the admin token is empty; set one, or nobody can use the API")]
    NoToken,
}

/// The API before it accepts connections.
///
/// It is built first and the listener opened then: a listener that is open already would accept connections that
/// nobody serves yet, and their callers could not turn to another server.
pub struct Api {
    router: Arc<BoxEndpoint<'static, Response>>,
    config: Config,
    engine: Arc<Engine>,
    live: feed::Live,
    cancel: CancellationToken,
}

impl Api {
    /// Builds everything that is served until `cancel` fires. This computes for a while, so async callers use
    /// `spawn_blocking`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(config: Config, engine: Arc<Engine>, cancel: CancellationToken) -> Result<Self, Error> {
        if config.admin_token.expose().is_empty() {
            return Err(Error::NoToken);
        }
        let Sockets { connections, .. } = config.sockets;
        let seats = config.max_watchers.min(connections - connections / 4); // leave connections for other requests
        let live = feed::Live::new(engine.clone(), seats, cancel.clone());
        let router = routed(config.clone(), engine.clone(), live.clone(), cancel.clone());
        Ok(Self { router: Arc::new(router.boxed()), config, engine, live, cancel })
    }

    /// Serves over HTTP and NATS until `cancel` fires, then finishes requests for at most five seconds. Watchers
    /// of the feed are told at once where to continue, so that they can reconnect to another server; requests
    /// that wait for a session (`?wait=`) are answered at once with its present state.
    pub async fn serve(self, listener: TcpListener) {
        let Self { router, config, engine, live, cancel } = self;
        let (client, tasks, sockets) = (engine.link().client.clone(), engine.tasks().clone(), config.sockets);
        let (tls, certificates) = (config.tls.clone(), tasks.clone());
        drop(engine);
        let ended = cancel.child_token();
        let served = router.clone();
        let intake = tasks.spawn("intake", Role::Supporting, &ended, move |task| {
            nats_gateway::serve(served.clone(), config.clone(), client.clone(), task.cancel().clone())
        });
        if let Some(tls) = tls.clone() {
            certificates
                .spawn("certificates", Role::Supporting, &ended, move |task| tls.clone().follow(task.cancel().clone()));
        }
        server::serve(listener, router, sockets, tls, cancel).await;
        ended.cancel(); // even if HTTP ended by itself
        intake.cancelled().await;
        let _ = tokio::time::timeout(server::DRAIN, live.without_watchers()).await; // WebSockets outlive their requests
    }
}

/// Everything that is served, as one endpoint.
pub fn router(config: Config, engine: Arc<Engine>) -> impl Endpoint<Output = Response> + 'static {
    let never = CancellationToken::new();
    let live = feed::Live::new(engine.clone(), config.max_watchers, never.clone());
    routed(config, engine, live, never)
}

fn routed(
    config: Config,
    engine: Arc<Engine>,
    live: feed::Live,
    stopping: CancellationToken,
) -> impl Endpoint<Output = Response> + 'static {
    let service = document::service(document::apis(&engine, &config, live, stopping), &config.version);
    let document = document::document(&config.version);
    let login = login::Login::new(&config);
    let gate = gate::Gate::new(&config, engine.clone(), login.clone());
    let route = Route::new()
        .at("/healthz", probes::health(&config.version))
        .at("/readyz", probes::ready(engine.clone()))
        .at("/metrics", probes::metrics(engine))
        .at("/problems", poem::get(probes::problem_index))
        .at("/problems/:name", poem::get(probes::problem_page))
        .at("/openapi.json", Document::new(JSON, document.clone()))
        .at("/asyncapi.json", Document::new(JSON, streams::asyncapi::document(&config.version)))
        .nest("/docs", probes::docs(&service.swagger_ui_html(), &service.spec(), &document))
        .at("/", poem::get(ui::page))
        .at("/*page", poem::get(ui::page))
        .at("/assets/:name", poem::get(ui::asset))
        .at("/favicon.svg", poem::get(ui::icon))
        .at(login::PATH, login)
        .nest(routes::PREFIX, service);
    route.around(move |next, request| {
        let gate = gate.clone();
        async move { gate.pass(next, request).await }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_database_and_nats() {
        for (descriptors, connections) in [(256, 160), (64, 16), (1_024, 768), (1 << 20, 10_000)] {
            let sockets = Sockets::default().within(descriptors);
            assert_eq!(sockets.connections, connections, "{descriptors}");
            assert!(sockets.per_address < sockets.connections);
        }
    }
}
