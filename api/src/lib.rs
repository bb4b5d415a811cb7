//! The HTTP side of the engine: resources, who may ask for them, and what an error looks like.
//!
//! One file per noun holds its resource and its operations. `gate` is what every request passes through, `problem` the one
//! place where errors become responses, `routes` the table of what exists. See the README of this folder.

mod applications;
mod auth;
mod body;
mod controllers;
mod cursor;
mod dead_letters;
mod document;
mod events;
mod gate;
mod manifests;
mod outside;
mod platforms;
mod problem;
mod rate;
mod routes;
mod schema;
mod sessions;
mod templates;
mod timestamp;

use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use poem::listener::TcpAcceptor;
use poem::{Endpoint, EndpointExt, Response, Route, Server};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use document::document;
pub use streams::connect::Secret;

/// How long requests that were begun may take after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(5);

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
    /// The version that the API document and `/healthz` tell.
    pub version: String,
}

impl Config {
    /// The defaults, for this token: 1 MiB bodies, 4 MiB of templates, no rate limit.
    #[must_use]
    pub fn new(admin_token: Secret) -> Self {
        Self {
            admin_token,
            max_body_bytes: 1 << 20,
            max_template_bytes: 4 << 20,
            requests_per_second: 0,
            burst: 100,
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
    /// The socket failed.
    #[error("the HTTP server failed")]
    Server(#[from] std::io::Error),
}

/// Serves until `cancel` fires, and then for five seconds at most what was begun.
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
    let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?);
    let stop = async move { cancel.cancelled().await };
    server.run_with_graceful_shutdown(router(config, engine), stop, Some(DRAIN)).await?;
    Ok(())
}

/// Everything that is served, as one endpoint.
pub fn router(config: Config, engine: Arc<Engine>) -> impl Endpoint<Output = Response> + 'static {
    let service = document::service(document::apis(&engine), &config.version);
    let gate = gate::Gate::new(&config);
    let route = Route::new()
        .at("/healthz", outside::health(&config.version))
        .at("/readyz", outside::ready(engine.clone()))
        .at("/metrics", outside::metrics(engine))
        .at("/problems/:name", poem::get(outside::problem_page))
        .at("/openapi.json", outside::openapi(document::document(&config.version)))
        .nest("/docs", service.swagger_ui())
        .nest(routes::PREFIX, service);
    route.around(move |next, request| {
        let gate = gate.clone();
        async move { gate.pass(next, request).await }
    })
}
