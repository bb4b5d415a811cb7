//! The front of the engine: resources, who may ask for them, and what an error looks like. Over HTTP, and over NATS (`intake`).
//!
//! One file per noun holds its resource and its operations. `gate` is what every request passes through, `problem` the one
//! place where errors become responses, `routes` the table of what exists. See the README of this folder.

mod access;
mod applications;
mod auth;
mod body;
mod controllers;
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
mod idempotency;
pub mod intake;
mod jobs;
mod json;
mod manifests;
mod operators;
mod outside;
mod platforms;
mod problem;
mod queue;
mod rate;
mod rebuild;
mod routes;
mod schema;
mod server;
mod sessions;
mod tasks;
mod templates;
mod texts;
mod timestamp;

use std::sync::Arc;

use engine::Engine;
use poem::{Endpoint, EndpointExt, Response, Route};
use streams::tasks::Role;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use document::document;
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
    /// Requests per second that one principal may make on average; 0 is no limit.
    pub requests_per_second: u32,
    /// Requests that one principal may make at once before the average counts.
    pub burst: u32,
    /// Watchers of the live feed at a time; beyond it they are told to come back, or to ask another server.
    pub max_watchers: usize,
    /// Requests that may wait at once for a session to get somewhere (`?wait=`).
    pub max_waiting: usize,
    /// Requests over NATS that are worked on at once; more are refused until there is room.
    pub max_intake: usize,
    /// The version that the API document and `/healthz` tell.
    pub version: String,
}

impl Config {
    /// The defaults, for this token: 1 MiB bodies, 4 MiB of templates, no rate limit, 5,000 watchers.
    #[must_use]
    pub fn new(admin_token: Secret) -> Self {
        Self {
            admin_token,
            max_body_bytes: 1 << 20,
            max_template_bytes: 4 << 20,
            requests_per_second: 0,
            burst: 100,
            max_watchers: 5_000,
            max_waiting: 256,
            max_intake: 256,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Why the API does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Whoever starts it must choose a token.
    #[error("the admin token is empty; set one, or nobody can use the API")]
    NoToken,
}

/// Serves over HTTP and NATS until `cancel` fires, and then for five seconds at most what was begun. Watchers of the feed are
/// told at once where to go on, so that they do so at another server.
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
    let live = feed::Live::new(engine.clone(), config.max_watchers, cancel.clone());
    let (client, tasks) = (engine.link().client.clone(), engine.tasks().clone());
    let router = Arc::new(routed(config.clone(), engine, live.clone()));
    let ended = cancel.child_token();
    let served = router.clone();
    let intake = tasks.spawn("intake", Role::Supporting, &ended, move |task| {
        intake::serve(served.clone(), config.clone(), client.clone(), task.cancel().clone())
    });
    server::serve(listener, router, cancel).await;
    ended.cancel(); // also where HTTP ended by itself
    intake.cancelled().await;
    let _ = tokio::time::timeout(server::DRAIN, live.deserted()).await; // sockets outlive their requests
    Ok(())
}

/// Everything that is served, as one endpoint.
pub fn router(config: Config, engine: Arc<Engine>) -> impl Endpoint<Output = Response> + 'static {
    let live = feed::Live::new(engine.clone(), config.max_watchers, CancellationToken::new());
    routed(config, engine, live)
}

fn routed(config: Config, engine: Arc<Engine>, live: feed::Live) -> impl Endpoint<Output = Response> + 'static {
    let service = document::service(document::apis(&engine, &config, live), &config.version);
    let document = document::document(&config.version);
    let gate = gate::Gate::new(&config, engine.clone());
    let route = Route::new()
        .at("/healthz", outside::health(&config.version))
        .at("/readyz", outside::ready(engine.clone()))
        .at("/metrics", outside::metrics(engine))
        .at("/problems", poem::get(outside::problem_index))
        .at("/problems/:name", poem::get(outside::problem_page))
        .at("/openapi.json", outside::json(document.clone()))
        .at("/asyncapi.json", outside::json(streams::asyncapi::document(&config.version)))
        .nest("/docs", outside::docs(&service.swagger_ui_html(), &service.spec(), &document))
        .nest(routes::PREFIX, service);
    route.around(move |next, request| {
        let gate = gate.clone();
        async move { gate.pass(next, request).await }
    })
}
