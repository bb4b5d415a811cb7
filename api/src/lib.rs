//! The front of the engine: resources, who may ask for them, and what an error looks like. Over HTTP, and over NATS (`intake`).
//!
//! One file per noun holds its resource and its operations. `gate` is what every request passes through, `problem` the one
//! place where errors become responses, `routes` the table of what exists. See the README of this folder.

mod access;
mod applications;
mod auth;
mod body;
mod controllers;
mod cors;
mod cursor;
mod dead_letters;
mod deprecation;
mod dialect;
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
pub mod intake;
mod jobs;
mod json;
mod login;
mod manifests;
mod moment;
mod operators;
mod outside;
mod platforms;
mod problem;
mod queue;
mod rate;
mod rebuild;
mod routes;
mod schema;
mod served;
mod server;
mod sessions;
mod tasks;
mod templates;
mod texts;
mod timestamp;
mod ui;

use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use poem::{Endpoint, EndpointExt, Response, Route};
use streams::tasks::Role;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use served::Document;

pub use cors::{BadOrigin, Origin};
pub use document::document;
pub use ipnet::IpNet;
pub use login::Codes;
pub use streams::connect::Secret;

/// How the API behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bearer token of the administrator. An empty one admits nobody.
    pub admin_token: Secret,
    /// Bytes of a request body at most.
    pub max_body_bytes: usize,
    /// Bytes of a body with templates at most; catalogs come in one piece.
    pub max_template_bytes: usize,
    /// Requests per second that one principal may make on average, over HTTP and NATS; 0 is no limit.
    pub requests_per_second: u32,
    /// Requests that one principal may make at once before the average counts.
    pub burst: u32,
    /// Requests per second that may come from one address on average, recognised or not; 0 is no limit.
    pub address_requests_per_second: u32,
    /// Requests that may come from one address at once before the average counts.
    pub address_burst: u32,
    /// Proxies whose `X-Forwarded-For` is believed; nobody's unless given.
    pub trusted_proxies: Vec<IpNet>,
    /// Pages of other origins that may use the API from a browser (CORS); none unless given.
    pub cors_origins: Vec<Origin>,
    /// What connections may hold, and how long they may take.
    pub sockets: Sockets,
    /// Watchers of the live feed at a time; beyond it they are told to come back, or to ask another server.
    pub max_watchers: usize,
    /// Requests that may wait at once for a session to get somewhere (`?wait=`).
    pub max_waiting: usize,
    /// Requests over NATS that are worked on at once; more are refused until there is room.
    pub max_intake: usize,
    /// The codes that the web UI can be logged in with; whoever serves prints them.
    pub login_codes: Codes,
    /// The id of the installation, for the name of the login's cookie.
    pub installation: String,
    /// The version that the API document and `/healthz` tell.
    pub version: String,
}

/// What connections may hold, and how long they may take.
#[derive(Debug, Clone, Copy)]
pub struct Sockets {
    /// Connections at a time. Where there are as many, the one goes that has been idle longest.
    pub connections: usize,
    /// Connections of one address at a time; an IPv6 network of 64 bits counts as one.
    pub per_address: usize,
    /// How long the head of a request may take, from the connection or from its first byte.
    pub head: Duration,
    /// How long a connection is kept that asks nothing.
    pub idle: Duration,
    /// How long the body of a request may take.
    pub body: Duration,
    /// How long a client may read nothing of a response that is there.
    pub stall: Duration,
    /// Bytes that responses may hold together until they are read; small ones and shared documents do not count.
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
    /// The same, but leaving room for the process' own work (database, NATS, files) where it may open only so many descriptors: a
    /// quarter of them, and 96 at least.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let own = (descriptors / 4).clamp(96, 2_048);
        let room = usize::try_from(descriptors.saturating_sub(own)).unwrap_or(usize::MAX).max(16);
        let connections = self.connections.min(room);
        Self { connections, per_address: self.per_address.min(connections - connections / 4), ..self }
    }
}

impl Config {
    /// The defaults, for this token: 1 MiB bodies, 4 MiB of templates, 500 requests a second of one principal and 1,000 of one
    /// address, 5,000 watchers.
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

/// Why the API does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Whoever starts it must choose a token.
    #[error("the admin token is empty; set one, or nobody can use the API")]
    NoToken,
}

/// Serves over HTTP and NATS until `cancel` fires, and then for five seconds at most what was begun. Watchers of the feed are
/// told at once where to go on, so that they do so at another server; requests that wait for a session (`?wait=`) are answered at
/// once with where it stands.
///
/// # Errors
/// [`Error`].
pub async fn serve(
    listener: TcpListener,
    config: Config,
    engine: Arc<Engine>,
    cancel: CancellationToken,
) -> Result<(), Error> {
    if config.admin_token.expose().is_empty() {
        return Err(Error::NoToken);
    }
    let sockets = config.sockets;
    let seats = config.max_watchers.min(sockets.connections - sockets.connections / 4); // others come in beside watchers
    let live = feed::Live::new(engine.clone(), seats, cancel.clone());
    let (client, tasks) = (engine.link().client.clone(), engine.tasks().clone());
    let router = Arc::new(routed(config.clone(), engine, live.clone(), cancel.clone()));
    let ended = cancel.child_token();
    let served = router.clone();
    let intake = tasks.spawn("intake", Role::Supporting, &ended, move |task| {
        intake::serve(served.clone(), config.clone(), client.clone(), task.cancel().clone())
    });
    server::serve(listener, router, sockets, cancel).await;
    ended.cancel(); // also where HTTP ended by itself
    intake.cancelled().await;
    let _ = tokio::time::timeout(server::DRAIN, live.deserted()).await; // sockets outlive their requests
    Ok(())
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
        .at("/healthz", outside::health(&config.version))
        .at("/readyz", outside::ready(engine.clone()))
        .at("/metrics", outside::metrics(engine))
        .at("/problems", poem::get(outside::problem_index))
        .at("/problems/:name", poem::get(outside::problem_page))
        .at("/openapi.json", Document::new(JSON, document.clone()))
        .at("/asyncapi.json", Document::new(JSON, streams::asyncapi::document(&config.version)))
        .nest("/docs", outside::docs(&service.swagger_ui_html(), &service.spec(), &document))
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
