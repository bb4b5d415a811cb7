//! The connection to NATS: it reconnects for ever and publishes its state.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::nkey;
use crate::permissions::INBOX;
use crate::reconnects::Reconnects;
pub use crate::secret::Secret;
use crate::version::{MINIMUM, Version};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for a PubAck before the outcome of a publish counts as unknown.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const MOST_IN_FLIGHT: usize = 65_536;
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// Errors of connecting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `NATS_URL` is not an address.
    #[error("{url:?} is not a NATS address such as nats://localhost:4222")]
    Url {
        /// The given URL.
        url: String,
        /// The client's error.
        #[source]
        source: async_nats::ConnectError,
    },
    /// No server answers.
    #[error("no nats-server answers at {url}: {source}; start one (`streamspace dev` brings its own) or set NATS_URL")]
    Unreachable {
        /// The URL that was tried.
        url: String,
        /// The client's error.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server refused the credentials.
    #[error(
        "the nats-server at {url} refused the credentials; see NATS_NKEY_FILE, NATS_CREDS, or NATS_USER and NATS_PASSWORD"
    )]
    Credentials {
        /// The server's URL.
        url: String,
        /// The client's error.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The TLS handshake failed.
    #[error(
        "TLS with the nats-server at {url} failed: {source}; see NATS_TLS_ENABLED, NATS_CA_FILE, NATS_CERT_FILE and NATS_KEY_FILE"
    )]
    Tls {
        /// The server's URL.
        url: String,
        /// The client's error.
        #[source]
        source: async_nats::ConnectError,
    },
    /// A file with a key cannot be used.
    #[error("NATS_NKEY_FILE: {0}")]
    Nkey(#[from] nkey::Error),
    /// A file with credentials cannot be used.
    #[error("NATS_CREDS: {}: {source}", path.display())]
    Creds {
        /// The file.
        path: PathBuf,
        /// The client's error.
        #[source]
        source: std::io::Error,
    },
    /// The server is too old.
    #[error(
        "the nats-server at {url} is version {found}, and at least {MINIMUM} is required; give a newer one with --nats-server, or set NATS_URL to one"
    )]
    TooOld {
        /// The server's URL.
        url: String,
        /// Its version.
        found: String,
    },
    /// The server or the account has no JetStream.
    #[error(
        "the nats-server at {url} offers no JetStream: {source}; start it with -js, or enable JetStream for the account"
    )]
    NoJetStream {
        /// The server's URL.
        url: String,
        /// The server's error.
        #[source]
        source: jetstream::context::AccountError,
    },
    /// Cancelled by the caller.
    #[error("gave up connecting to {url}: {last}")]
    Cancelled {
        /// The server's URL.
        url: String,
        /// The last error.
        last: String,
    },
}

impl Error {
    /// Whether waiting may help, because the server may still start. A wrong password or address stays wrong.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NoJetStream { .. })
    }
}

/// Address and credentials of NATS.
#[derive(Debug, Clone)]
pub struct Config {
    /// `NATS_URL`; several servers of one cluster are separated by commas.
    pub url: String,
    /// `NATS_USER`.
    pub user: Option<String>,
    /// `NATS_PASSWORD`.
    pub password: Option<Secret>,
    /// `NATS_NKEY_FILE`: the seed of an NKey, read again for each connection.
    pub nkey_file: Option<PathBuf>,
    /// `NATS_CREDS`: a JWT with its key, as `nsc` writes them.
    pub creds_file: Option<PathBuf>,
    /// `NATS_TLS_ENABLED`: require TLS.
    pub tls: bool,
    /// `NATS_CA_FILE`: certificates of authorities, in addition to those of the system.
    pub ca_file: Option<PathBuf>,
    /// `NATS_CERT_FILE` and `NATS_KEY_FILE`: the client's certificate and its key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Prefix of the inboxes of this connection; see [`crate::permissions::Role::inbox`].
    pub inbox: String,
    /// Name of this connection in the server's monitoring.
    pub name: String,
}

impl Config {
    /// A configuration without credentials and TLS.
    #[must_use]
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            nkey_file: None,
            creds_file: None,
            tls: false,
            ca_file: None,
            client_certificate: None,
            inbox: INBOX.into(),
            name: name.into(),
        }
    }
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Whether it is connected.
    pub connected: bool,
    /// Since when it has been in this state.
    pub since: Instant,
    /// Number of connections so far; grows with each reconnect.
    pub connects: u64,
}

/// A connection that reconnects by itself for ever. Clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Core NATS.
    pub client: async_nats::Client,
    /// JetStream on the same connection.
    pub jetstream: jetstream::Context,
    /// Notifies of changes of the connection.
    pub state: watch::Receiver<State>,
    /// History of reconnects.
    pub reconnects: Reconnects,
}

impl Link {
    /// Whether it is connected now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state.borrow().connected
    }
}

/// Connects, and checks the server's version and JetStream.
///
/// # Errors
/// See [`Error`].
pub async fn connect(config: &Config) -> Result<Link, Error> {
    let (sender, mut state) = watch::channel(State { connected: false, since: Instant::now(), connects: 0 });
    let servers = config.url.split(',').map(str::trim).filter(|url| !url.is_empty()).collect::<Vec<_>>();
    let reconnects = Reconnects::default();
    let client = options(config, sender, reconnects.clone())?
        .connect(servers)
        .await
        .map_err(|source| refused(&config.url, source))?;
    // The event of the first connection arrives through a channel; wait for it, so that `state` is right from
    // the start.
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

/// Connects, and retries while the server may still start.
///
/// # Errors
/// Errors that are not retried, at once; [`Error::Cancelled`] with the last error if cancelled.
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

/// Doubles from 50 ms to 2 s, with jitter, so that many clients do not reconnect in step.
#[must_use]
pub fn backoff(attempt: usize) -> Duration {
    let full = Duration::from_millis(50).saturating_mul(1 << attempt.min(6)).min(LONGEST_BACKOFF);
    full.mul_f64(rand::random_range(0.5..=1.0))
}

fn options(config: &Config, state: watch::Sender<State>, reconnects: Reconnects) -> Result<ConnectOptions, Error> {
    let mut options = logged_in(config)?
        .name(&config.name)
        .require_tls(config.tls)
        .custom_inbox_prefix(&config.inbox)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .max_reconnects(None)
        .reconnect_delay_callback(backoff)
        .event_callback(move |event| {
            noticed(&state, &reconnects, &event);
            std::future::ready(())
        });
    if let Some(path) = &config.ca_file {
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &config.client_certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

/// Options with the credentials.
fn logged_in(config: &Config) -> Result<ConnectOptions, Error> {
    if let Some(path) = config.nkey_file.clone() {
        nkey::public_key(&path)?; // the file is named in the error now, and only logged when reconnecting
        return Ok(ConnectOptions::with_auth_callback(move |nonce| std::future::ready(nkey::answer(&path, &nonce))));
    }
    if let Some(path) = &config.creds_file {
        let creds = |source| Error::Creds { path: path.clone(), source };
        return ConnectOptions::with_credentials(&std::fs::read_to_string(path).map_err(creds)?).map_err(creds);
    }
    Ok(match (&config.user, &config.password) {
        (None, None) => ConnectOptions::new(),
        (user, password) => ConnectOptions::with_user_and_password(
            user.clone().unwrap_or_default(),
            password.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default(),
        ),
    })
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
            let anybody_left = state.receiver_count() > 0; // a dropped link is closed on purpose
            if lost && anybody_left {
                tracing::warn!("lost the connection to NATS; reconnecting");
            }
        }
        Event::SlowConsumer(subscription) => {
            tracing::error!(
                nats.subscription = subscription,
                "slow consumer: NATS dropped messages of a core subscription"
            );
        }
        Event::LameDuckMode | Event::Draining => {
            tracing::info!(event = %event, "NATS is about to close the connection")
        }
        Event::ServerError(error) => {
            reconnects.said(error.to_string());
            tracing::warn!(%error, "NATS reported an error");
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
