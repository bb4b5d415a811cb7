//! `streamspace dev`: everything on one machine, in one folder.
//!
//! API and engine run in this process; nats-server and the controller are children that are restarted when they
//! die. If this process is killed, the next start finds them in `children.json` and ends them. The processes of
//! sessions are not children of this process; the new controller adopts them.

mod banner;
mod disk_space;
pub(crate) mod folder;
mod nats;
mod supervisor;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use streams::connect;
use streams::ids::{ControllerId, Platform};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::children::Ledger;
use crate::failure::{Failure, Kind};
use crate::host::{self, Claimed, Host};
use crate::limits;
use crate::nats_config::Holder;
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::traffic::{self, ApiLimits};
use folder::{Endpoints, Folder, Secrets};
use supervisor::Program;

pub(crate) const DATA_DIR: &str = "./data";
const HTTP_ADDR: &str = "127.0.0.1:8080";
const PLATFORM: &str = "local";
const CONTROLLER_ID: &str = "local-1";
/// Time that leftovers of an earlier run get to exit by themselves.
const LEFTOVER_GRACE: Duration = Duration::from_secs(10);
const CONTROLLER_GRACE: Duration = Duration::from_secs(25);

/// Arguments of `streamspace dev`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    http_addr: Option<String>,
    /// Certificate for the API, with its chain, as PEM; read again when it changes [default: plain HTTP]
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<String>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    tls_key_file: Option<String>,
    /// Folder for all data [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// nats-server binary to run, 2.12 or newer [default: .tools/nats-server, else the one on PATH]
    #[arg(long, value_name = "PATH")]
    nats_server: Option<String>,
    /// Whether a new controller on a platform that others serve works at once (open, durable lane only) or
    /// waits for `streamspace controller admit` (operator) [default: open]
    #[arg(long, value_name = "WHO")]
    controllers_admission: Option<String>,
    /// YAML file with settings; the environment and flags take precedence
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    limits: limits::Args,
    #[command(flatten)]
    traffic: traffic::Args,
}

struct Config {
    http_addr: SocketAddr,
    data_dir: PathBuf,
    nats_server: Option<PathBuf>,
    /// An external NATS server, instead of a child.
    nats: Option<connect::Config>,
    admin_token: Option<String>,
    controller_id: ControllerId,
    default_platform: String,
    admission: machine::admission::Policy,
    streams: streams::topology::Settings,
    retention: Option<engine::retention::Settings>,
    api: ApiLimits,
    tls: Option<api::Tls>,
    heartbeat_interval: Option<String>,
}

impl Config {
    fn load(args: Args) -> Result<Self, Failure> {
        let flags = [
            ("http_addr", args.http_addr),
            ("tls_cert_file", args.tls_cert_file),
            ("tls_key_file", args.tls_key_file),
            ("data_dir", args.data_dir),
            ("nats_server", args.nats_server),
            ("controllers_admission", args.controllers_admission),
        ];
        let flags = flags.into_iter().chain(args.limits.flags()).chain(args.traffic.flags());
        let mut settings = Settings::load(args.config.as_deref(), flags);
        let http_addr = host::address(&mut settings, HTTP_ADDR);
        let nats = settings.text("nats_url").is_some().then(|| settings.nats("streamspace dev")).flatten();
        let nats = nats.map(host::as_engine);
        let admin_token = host::admin_token(&mut settings);
        crate::controller::heartbeat_interval(&mut settings);
        let tls = host::tls(&mut settings);
        let id = settings.optional::<ControllerId>("controller_id").or_else(|| CONTROLLER_ID.parse().ok());
        let read = id.map(|controller_id| Self {
            http_addr,
            data_dir: settings.text("data_dir").unwrap_or_else(|| DATA_DIR.into()).into(),
            nats_server: settings.text("nats_server").map(PathBuf::from),
            nats,
            admin_token,
            controller_id,
            default_platform: settings.text("default_platform").unwrap_or_else(|| "local".into()),
            admission: settings.optional("controllers_admission").unwrap_or(machine::admission::Policy::Open),
            streams: limits::read(&mut settings),
            retention: host::retention(&mut settings),
            api: ApiLimits::read(&mut settings),
            tls,
            heartbeat_interval: settings.text("heartbeat_interval"),
        });
        settings.finish(read)
    }
}

/// A supervised child, and how to stop it.
struct Kept {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Kept {
    fn start<F: Future<Output = ()> + Send + 'static>(keep: impl FnOnce(CancellationToken) -> F) -> Self {
        let cancel = CancellationToken::new();
        let task = tokio::spawn(keep(cancel.clone()));
        Self { cancel, task }
    }

    async fn stop(self) {
        self.cancel.cancel();
        let _ = self.task.await; // a task that panicked was logged by the runtime
    }
}

/// How to connect to NATS: each role has credentials of its own.
struct Nats<'a> {
    engine: &'a connect::Config,
    controller: &'a connect::Config,
    /// Further controllers on this machine, and its users.
    others: &'a connect::Config,
}

/// State shared by the parts of one run.
struct Run {
    config: Config,
    folder: Folder,
    secrets: Secrets,
    ledger: Arc<Ledger>,
    shutdown: Shutdown,
}

/// Runs until it is asked to stop.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let config = Config::load(args)?;
    crate::files::private();
    let folder = Folder::take(&config.data_dir)?;
    let claimed = Claimed::take(config.http_addr)?;
    let ledger = Arc::new(Ledger::open(folder.join("children.json"))?);
    for child in ledger.end_leftovers(LEFTOVER_GRACE).await? {
        tracing::info!(child.name = %child.name, child.pid = child.pid, "ended a leftover of an earlier run");
    }
    let run = Run { secrets: Secrets::of(&folder)?, config, folder, ledger, shutdown: Shutdown::listen()? };
    run.all(claimed).await
}

impl Run {
    /// Starts everything, waits, and stops everything.
    async fn all(&self, claimed: Claimed) -> Result<(), Failure> {
        if let Some(nats) = &self.config.nats {
            return self.serve(Nats { engine: nats, controller: nats, others: nats }, claimed).await;
        }
        let platform = Platform::try_new(PLATFORM).map_err(|e| Failure::because(Kind::Failed, "platform", &e))?;
        let holder = Holder::Controller(platform, self.config.controller_id.clone());
        let keys = nats::keys(&self.folder, &holder)?;
        let options = nats::options(&self.folder, &self.secrets, &keys, self.config.nats_server.as_deref()).await?;
        let (server, options) = nats::start(options, &self.folder, &self.secrets).await?;
        let with_key = |holder: &Holder| connect::Config {
            nkey_file: Some(keys.seed_file(holder)),
            ..connect::Config::new(server.url(), "streamspace dev")
        };
        let (engine, controller) = (host::as_engine(with_key(&Holder::Engine)), with_key(&holder));
        let others = server.client("streamspace dev");
        let (ledger, hurry) = (self.ledger.clone(), self.shutdown.hurry.clone());
        let server = Kept::start(|cancel| nats::keep(server, options, ledger, cancel, hurry));
        let nats = Nats { engine: &engine, controller: &controller, others: &others };
        let served = self.serve(nats, claimed).await;
        self.shutdown.step("nats-server", Duration::from_secs(20), server.stop()).await;
        served
    }

    async fn serve(&self, nats: Nats<'_>, claimed: Claimed) -> Result<(), Failure> {
        let program = self.controller(nats.controller)?;
        let endpoints = self.endpoints(nats.others, claimed.url(self.config.tls.is_some()));
        let started = self.shutdown.asked.run_until_cancelled(self.host(nats.engine, &endpoints, claimed)).await;
        let Some(host) = started else { return Ok(()) };
        let mut host = host?;
        let (ledger, shutdown) = (self.ledger.clone(), self.shutdown.clone());
        let controller = Kept::start(|cancel| supervisor::keep(program, ledger, cancel, shutdown));
        let ended = self.until_asked(&mut host, &endpoints).await;
        self.shutdown.step("api", Duration::from_secs(10), host.stop_api()).await;
        self.shutdown.step("controller", CONTROLLER_GRACE + Duration::from_secs(6), controller.stop()).await;
        self.shutdown.step("engine", Duration::from_secs(15), host.stop_engine()).await;
        ended
    }

    async fn host(&self, nats: &connect::Config, endpoints: &Endpoints, claimed: Claimed) -> Result<Host, Failure> {
        let link = connect::connect(nats).await.map_err(|e| Failure::because(Kind::Unavailable, "NATS", &e))?;
        let settings = host::Settings {
            database_url: self.folder.database_url(),
            migrate: true,
            admin_token: endpoints.admin_token.clone(),
            default_platform: self.config.default_platform.as_str().into(),
            outbox_limit: engine::OUTBOX_LIMIT,
            admission: self.config.admission,
            streams: self.config.streams.clone(),
            retention: self.config.retention.clone(),
            api: self.config.api.clone(),
            tls: self.config.tls.clone(),
        };
        Host::start(settings, link, claimed).await
    }

    async fn until_asked(&self, host: &mut Host, endpoints: &Endpoints) -> Result<(), Failure> {
        endpoints.write(&self.folder)?;
        let data_dir = &self.config.data_dir;
        banner::show(endpoints, &host.login_code(), data_dir, data_dir == Path::new(DATA_DIR));
        tokio::select! {
            () = self.shutdown.asked.cancelled() => Ok(()),
            ended = host.ended() => ended,
        }
    }

    fn endpoints(&self, nats: &connect::Config, http: String) -> Endpoints {
        Endpoints {
            http,
            nats: nats.url.clone(),
            nats_user: nats.user.clone(),
            nats_password: nats.password.as_ref().map(|password| password.expose().to_owned()),
            admin_token: self.config.admin_token.clone().unwrap_or_else(|| self.secrets.admin_token.clone()),
        }
    }

    /// The controller runs as a separate process, so that its crash does not affect the engine.
    fn controller(&self, nats: &connect::Config) -> Result<Program, Failure> {
        let executable = std::env::current_exe()
            .map_err(|e| Failure::because(Kind::Failed, "cannot determine the path of this program", &e))?;
        let password = nats.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
        let file = |path: Option<&PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
        let (certificate, key) = nats.client_certificate.as_ref().map_or((None, None), |(a, b)| (Some(a), Some(b)));
        let mut environment = vec![
            ("NATS_URL", nats.url.clone()),
            ("NATS_USER", nats.user.clone().unwrap_or_default()),
            ("NATS_PASSWORD", password),
            ("NATS_NKEY_FILE", file(nats.nkey_file.as_ref())),
            ("NATS_CREDS", file(nats.creds_file.as_ref())),
            ("NATS_CA_FILE", file(nats.ca_file.as_ref())),
            ("NATS_CERT_FILE", file(certificate)),
            ("NATS_KEY_FILE", file(key)),
            ("NATS_TLS_ENABLED", nats.tls.to_string()),
            ("CONTROLLER_ID", self.config.controller_id.to_string()),
            ("CONTROLLER_PLATFORM", PLATFORM.into()),
            ("STREAMSPACE_CONFIG", String::new()), // its settings are all given here
            ("STREAMSPACE_ADMIN_TOKEN", String::new()), // not for the controller
            ("DATABASE_URL", String::new()),
        ];
        environment.extend(self.config.heartbeat_interval.clone().map(|interval| ("HEARTBEAT_INTERVAL", interval)));
        let state_dir = self.folder.join("local").display().to_string();
        Ok(Program {
            name: "controller",
            executable,
            arguments: ["controller", "--platform", PLATFORM, "--state-dir", &state_dir].map(String::from).to_vec(),
            environment,
            log: self.folder.join("logs/controller.log"),
            grace: CONTROLLER_GRACE,
        })
    }
}
