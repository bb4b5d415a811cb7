//! The connection to NATS: made once, kept for ever, its state visible to whoever must know.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::reconnects::Reconnects;
pub use crate::secret::Secret;
use crate::version::{MINIMUM, Version};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a PubAck may take before the fate of a message counts as unknown.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const MOST_IN_FLIGHT: usize = 65_536;
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `NATS_URL` is no address.
    #[error("{url:?} is not a NATS address such as nats://localhost:4222")]
    Url {
        /// What was given.
        url: String,
        /// What the client says.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Nobody answers.
    #[error("no nats-server answers at {url}: {source}; start one (`streamspace dev` brings its own) or set NATS_URL")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the client says.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server knows us not.
    #[error("the nats-server at {url} refused the user or password; set NATS_USER and NATS_PASSWORD")]
    Credentials {
        /// Where.
        url: String,
        /// What the client says.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The TLS handshake failed.
    #[error("TLS with the nats-server at {url} failed: {source}; see NATS_TLS_ENABLED")]
    Tls {
        /// Where.
        url: String,
        /// What the client says.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server is too old.
    #[error(
        "the nats-server at {url} is version {found}, and at least {MINIMUM} is required; give a newer one with --nats-server, or set NATS_URL to one"
    )]
    TooOld {
        /// Where.
        url: String,
        /// What it says that it is.
        found: String,
    },
    /// The server, or the account, has no JetStream.
    #[error(
        "the nats-server at {url} offers no JetStream: {source}; start it with -js, or enable JetStream for the account"
    )]
    NoJetStream {
        /// Where.
        url: String,
        /// What the server says.
        #[source]
        source: jetstream::context::AccountError,
    },
    /// The caller gave up.
    #[error("gave up connecting to {url}: {last}")]
    Cancelled {
        /// Where.
        url: String,
        /// The last error.
        last: String,
    },
}

impl Error {
    /// Whether waiting may help: the server may yet come up. A wrong password or address stays wrong.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NoJetStream { .. })
    }
}

/// Where NATS is, and as whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// `NATS_URL`; several servers of one cluster are separated by commas.
    pub url: String,
    /// `NATS_USER`.
    pub user: Option<String>,
    /// `NATS_PASSWORD`.
    pub password: Option<Secret>,
    /// `NATS_TLS_ENABLED`: refuse a server without TLS.
    pub tls: bool,
    /// What the server calls this connection in its monitoring.
    pub name: String,
}

impl Config {
    /// Without credentials and TLS.
    #[must_use]
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self { url: url.into(), user: None, password: None, tls: false, name: name.into() }
    }
}

/// Whether the server hears us now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Now.
    pub connected: bool,
    /// Since when it is so.
    pub since: Instant,
    /// How many connections were made so far; grows with each reconnect.
    pub connects: u64,
}

/// A connection that reconnects by itself without end. Clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Core NATS.
    pub client: async_nats::Client,
    /// JetStream on the same connection.
    pub jetstream: jetstream::Context,
    /// Follows the connection.
    pub state: watch::Receiver<State>,
    /// When it was made again.
    pub reconnects: Reconnects,
}

impl Link {
    /// Whether the server hears us now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state.borrow().connected
    }
}

/// Connects and checks that the server will do.
///
/// # Errors
/// Each reason for failure has its own [`Error`].
pub async fn connect(config: &Config) -> Result<Link, Error> {
    let (sender, mut state) = watch::channel(State { connected: false, since: Instant::now(), connects: 0 });
    let servers = config.url.split(',').map(str::trim).filter(|url| !url.is_empty()).collect::<Vec<_>>();
    let reconnects = Reconnects::default();
    let client = options(config, sender, reconnects.clone())
        .connect(servers)
        .await
        .map_err(|source| refused(&config.url, source))?;
    // The event of the first connection arrives through a channel: wait for it, so that `state` tells the truth.
    let _ = tokio::time::timeout(CONNECT_TIMEOUT, state.wait_for(|state| state.connected)).await;
    check_version(&config.url, &client.server_info().version)?;
    let jetstream = ContextBuilder::new()
        .timeout(REQUEST_TIMEOUT)
        .ack_timeout(ACK_TIMEOUT)
        .max_ack_inflight(MOST_IN_FLIGHT)
        .build(client.clone());
    let no_jetstream = |source| Error::NoJetStream { url: config.url.clone(), source };
    jetstream.query_account().await.map_err(no_jetstream)?;
    Ok(Link { client, jetstream, state, reconnects })
}

/// Connects, trying again as long as the server may yet come up.
///
/// # Errors
/// What waiting cannot mend, at once; [`Error::Cancelled`] with the last reason when the caller gives up.
pub async fn connect_patiently(config: &Config, cancel: &CancellationToken) -> Result<Link, Error> {
    let mut attempt = 0;
    let mut last = String::from("not tried yet");
    loop {
        let connected = tokio::select! {
            () = cancel.cancelled() => return Err(Error::Cancelled { url: config.url.clone(), last }),
            connected = connect(config) => connected,
        };
        match connected {
            Err(error) if error.is_transient() => {
                if attempt == 0 {
                    tracing::warn!(nats.url = %config.url, error = %error, "waiting for NATS");
                }
                last = error.to_string();
            }
            done => return done,
        }
        attempt += 1;
        tokio::select! {
            () = cancel.cancelled() => return Err(Error::Cancelled { url: config.url.clone(), last }),
            () = tokio::time::sleep(backoff(attempt)) => {}
        }
    }
}

/// Doubles from 50 ms to 2 s, then a random part of it, so that a fleet does not come back in step.
#[must_use]
pub fn backoff(attempt: usize) -> Duration {
    let full = Duration::from_millis(50).saturating_mul(1 << attempt.min(6)).min(LONGEST_BACKOFF);
    full.mul_f64(rand::random_range(0.5..=1.0))
}

fn options(config: &Config, state: watch::Sender<State>, reconnects: Reconnects) -> ConnectOptions {
    let options = ConnectOptions::new()
        .name(&config.name)
        .require_tls(config.tls)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .max_reconnects(None)
        .reconnect_delay_callback(backoff)
        .event_callback(move |event| {
            noticed(&state, &reconnects, &event);
            std::future::ready(())
        });
    match (&config.user, &config.password) {
        (None, None) => options,
        (user, password) => options.user_and_password(
            user.clone().unwrap_or_default(),
            password.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default(),
        ),
    }
}

fn noticed(state: &watch::Sender<State>, reconnects: &Reconnects, event: &Event) {
    match event {
        Event::Connected => {
            let again = state.borrow().connects > 0;
            if again {
                reconnects.again();
            }
            state.send_modify(|s| *s = State { connected: true, since: Instant::now(), connects: s.connects + 1 });
            tracing::info!(nats.reconnected = again, "connected to NATS");
        }
        Event::Disconnected | Event::Closed => {
            let lost = state.send_if_modified(|s| {
                let lost = s.connected;
                if lost {
                    *s = State { connected: false, since: Instant::now(), connects: s.connects };
                }
                lost
            });
            let anybody_left = state.receiver_count() > 0; // a link that was dropped is closed, not lost
            if lost && anybody_left {
                tracing::warn!("lost the connection to NATS; trying again until it is back");
            }
        }
        Event::SlowConsumer(subscription) => {
            tracing::error!(nats.subscription = subscription, "too slow for NATS: messages of core subjects were lost");
        }
        Event::LameDuckMode | Event::Draining => {
            tracing::info!(event = %event, "NATS is about to close the connection")
        }
        Event::ServerError(error) => {
            reconnects.said(error.to_string());
            tracing::warn!(%error, "NATS refused something");
        }
        Event::ClientError(_) => tracing::debug!(event = %event, "NATS"),
    }
}

fn refused(url: &str, source: async_nats::ConnectError) -> Error {
    let url = url.to_owned();
    match source.kind() {
        ConnectErrorKind::ServerParse => Error::Url { url, source },
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            Error::Credentials { url, source }
        }
        ConnectErrorKind::Tls => Error::Tls { url, source },
        _ => Error::Unreachable { url, source },
    }
}

fn check_version(url: &str, found: &str) -> Result<(), Error> {
    match Version::parse(found) {
        Some(version) if version >= MINIMUM => Ok(()),
        _ => Err(Error::TooOld { url: url.into(), found: found.into() }),
    }
}
