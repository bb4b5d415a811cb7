//! API and engine in this process, shared by `dev` and `serve`.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use engine::clock::Clock;
use migrations::connect::{Database, Role};
use streams::connect::Link;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Kind};
use crate::settings;
use crate::traffic::ApiLimits;

/// Settings of the ages at which records are pruned.
const RETENTION: [&str; 3] = ["event_retention", "dead_letter_retention", "job_retention"];
/// Minimum age: recent records may still be needed.
const RETENTION_MIN: Duration = Duration::from_secs(24 * 3_600);
/// Minimum length of the admin token; shorter ones could be guessed.
const TOKEN_MIN: usize = 16;
/// Backlog of the listening socket, in connections; the value of the standard library.
const BACKLOG: u32 = 1024;

/// Settings of a host.
pub(crate) struct Settings {
    pub(crate) database_url: String,
    /// Apply missing schema steps; otherwise refuse to start without them.
    pub(crate) migrate: bool,
    pub(crate) admin_token: String,
    pub(crate) default_platform: engine::DefaultPlatform,
    pub(crate) outbox_limit: i64,
    /// Whether new controllers have to be admitted.
    pub(crate) admission: machine::admission::Policy,
    /// Limits of the streams.
    pub(crate) streams: streams::topology::Settings,
    /// What is pruned when it is old.
    pub(crate) retention: Option<engine::retention::Settings>,
    /// Limits of the API.
    pub(crate) api: ApiLimits,
    /// Certificate of the API.
    pub(crate) tls: Option<api::Tls>,
}

/// The running API and engine.
pub(crate) struct Host {
    engine: Arc<Engine>,
    database: Database,
    cancel: CancellationToken,
    api: Option<JoinHandle<()>>,
    login_codes: api::Codes,
}

impl Host {
    /// Starts both; connections are accepted from then on.
    pub(crate) async fn start(settings: Settings, link: Link, claimed: Claimed) -> Result<Self, Failure> {
        let database = open(&settings.database_url, settings.migrate).await?;
        let config = engine::Config {
            database: database.clone(),
            link,
            streams: settings.streams,
            default_platform: settings.default_platform,
            outbox_limit: settings.outbox_limit,
            retention: settings.retention,
            admission: settings.admission,
            clock: Clock::default(),
        };
        let engine = Engine::start(config).await.map_err(|e| Failure::because(Kind::Unavailable, "engine", &e))?;
        let cancel = CancellationToken::new();
        let mut api_config = api::Config::new(api::Secret::from(settings.admin_token));
        settings.api.apply(&mut api_config);
        api_config.tls = settings.tls;
        let installation = migrations::installation(&database).await;
        api_config.installation = installation.map_err(|e| Failure::because(Kind::Failed, "database", &e))?;
        let login_codes = api_config.login_codes.clone();
        let (served, stopping, https) = (engine.clone(), cancel.clone(), api_config.tls.is_some());
        let api = tokio::task::spawn_blocking(move || api::Api::new(api_config, served, stopping)).await??;
        tracing::info!(http.address = %claimed.url(https), "serves");
        let api = tokio::spawn(api.serve(claimed.open()?));
        Ok(Self { engine, database, cancel, api: Some(api), login_codes })
    }

    /// A code for one login to the web UI, good for five minutes.
    pub(crate) fn login_code(&self) -> String {
        self.login_codes.issue(chrono::Utc::now().timestamp_millis())
    }

    /// Waits for the API to end by itself, which happens only if it fails.
    pub(crate) async fn ended(&mut self) -> Result<(), Failure> {
        let Some(api) = &mut self.api else { return pending().await };
        let ended = api.await;
        self.api = None;
        Ok(ended?)
    }

    /// Stops accepting requests; those under way are answered.
    pub(crate) async fn stop_api(&mut self) {
        self.cancel.cancel();
        let Some(api) = self.api.take() else { return };
        if let Err(error) = api.await {
            tracing::warn!(%error, "the API did not stop cleanly");
        }
    }

    /// Stops every loop and closes the database.
    pub(crate) async fn stop_engine(self) {
        self.engine.stop().await;
        drop(self.engine);
        if let Err(error) = self.database.close().await {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }
}

/// The certificate of the API, if there is one; records a mistake if it cannot be used.
pub(crate) fn tls(settings: &mut settings::Settings) -> Option<api::Tls> {
    match (settings.text("tls_cert_file"), settings.text("tls_key_file")) {
        (Some(certificate), Some(key)) => match api::Tls::load(certificate, key) {
            Ok(tls) => return Some(tls),
            Err(error) => settings.mistake(format!("STREAMSPACE_TLS_CERT_FILE, STREAMSPACE_TLS_KEY_FILE: {error}")),
        },
        (None, None) => {}
        _ => settings.mistake("STREAMSPACE_TLS_CERT_FILE and STREAMSPACE_TLS_KEY_FILE only work together"),
    }
    None
}

/// A connection with the inbox of engines.
pub(crate) fn as_engine(nats: streams::connect::Config) -> streams::connect::Config {
    streams::connect::Config { inbox: streams::permissions::Role::Engine.inbox(), ..nats }
}

/// Opens a database and checks or migrates its schema.
async fn open(url: &str, migrate: bool) -> Result<Database, Failure> {
    let database = migrations::connect::open(url, Role::SERVICE).await.map_err(database_failure)?;
    if migrate {
        migrations::migrate(&database).await.map_err(database_failure)?;
    } else {
        migrations::schema::require_current(&database).await.map_err(database_failure)?;
    }
    Ok(database)
}

/// Converts a database error, with the category for scripts.
pub(crate) fn database_failure(error: migrations::Error) -> Failure {
    use migrations::Error;
    let kind = match error {
        Error::Url(_) => Kind::Usage,
        Error::Unreachable { .. } | Error::Busy { .. } => Kind::Unavailable,
        _ => Kind::Failed,
    };
    Failure::because(kind, "database", &error)
}

/// The address to listen on; records a mistake if it is invalid.
pub(crate) fn address(settings: &mut settings::Settings, default: &str) -> SocketAddr {
    let read = |text: &str| {
        text.parse().map_err(|_| format!("{text:?} is not an address such as 127.0.0.1:8080 or [::]:8080"))
    };
    let address = settings.read("http_addr", read);
    address.or_else(|| default.parse().ok()).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)))
}

/// How long events, closed dead letters and finished jobs are kept: for ever by default. Pruning without an
/// archive has to be permitted explicitly.
pub(crate) fn retention(settings: &mut settings::Settings) -> Option<engine::retention::Settings> {
    let read = |text: &str| {
        let age = streams::duration::parse(text).map_err(|e| e.to_string())?;
        if age < RETENTION_MIN {
            Err(format!("{text:?} is less than a day; operators may be away for longer"))
        } else {
            Ok(age)
        }
    };
    let ages @ [events, dead_letters, jobs] = RETENTION.map(|name| settings.read(name, read));
    let limited = RETENTION.into_iter().zip(ages).find_map(|(name, age)| age.map(|_| name))?;
    let archive = settings.text("archive_dir").map(PathBuf::from);
    if archive.is_none() && !settings.switch("prune_unarchived", false) {
        settings.mistake(format!(
            "STREAMSPACE_{} needs STREAMSPACE_ARCHIVE_DIR, where records are archived before they are pruned, \
             or STREAMSPACE_PRUNE_UNARCHIVED=true, and then it is gone for good",
            limited.to_uppercase()
        ));
        return None;
    }
    Some(engine::retention::Settings { events, dead_letters, jobs, archive, every: engine::retention::Settings::EVERY })
}

/// The admin token, given directly or in a file; records a mistake if it is too short.
pub(crate) fn admin_token(settings: &mut settings::Settings) -> Option<String> {
    let from_file = settings.read("admin_token_file", |path| {
        std::fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|e| format!("{path}: {e}"))
    });
    let token = from_file.or_else(|| settings.text("admin_token"))?;
    if token.len() < TOKEN_MIN || token.chars().any(|c| c.is_whitespace() || c.is_control()) {
        settings.mistake(format!("the admin token must have at least {TOKEN_MIN} characters and no spaces"));
        return None;
    }
    Some(token)
}

/// A bound address that does not accept connections yet: early clients are refused at once and can try another
/// server, instead of waiting for one that has not started.
pub(crate) struct Claimed {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Claimed {
    /// Binds an address, or reports that it is in use.
    pub(crate) fn take(address: SocketAddr) -> Result<Self, Failure> {
        Self::bind(address).map_err(|e| in_the_way(address, &e))
    }

    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?; // connections in TIME_WAIT must not block a restart
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The URL for clients on this machine.
    pub(crate) fn url(&self, https: bool) -> String {
        let url = url(self.address);
        // certificates are for names
        let named = || format!("https://localhost:{}", self.address.port());
        match (https, self.address.ip()) {
            (false, _) => url,
            (true, ip) if ip.is_loopback() || ip.is_unspecified() => named(),
            (true, _) => url.replacen("http:", "https:", 1),
        }
    }

    /// Starts to accept connections.
    fn open(self) -> Result<TcpListener, Failure> {
        self.socket.listen(BACKLOG).map_err(|e| in_the_way(self.address, &e))
    }
}

fn in_the_way(address: SocketAddr, error: &io::Error) -> Failure {
    let failure = Failure::because(Kind::Conflict, &format!("cannot listen on {address}"), error);
    failure.hint("choose another port with --http-addr, or stop the process that listens there")
}

/// Binds and listens at once.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    Claimed::take(address)?.open()
}

/// The URL of a listener for clients on this machine.
pub(crate) fn url(address: SocketAddr) -> String {
    let loopback = if address.is_ipv4() {
        SocketAddr::from(([127, 0, 0, 1], 0))
    } else {
        SocketAddr::from(([0u16, 0, 0, 0, 0, 0, 0, 1], 0))
    };
    let ip = if address.ip().is_unspecified() { loopback.ip() } else { address.ip() };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
