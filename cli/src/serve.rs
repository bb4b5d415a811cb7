//! `streamspace serve`: API and engine on an existing database and NATS server. Any number of them can run side
//! by side.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::DefaultPlatform;
use streams::connect;

use crate::failure::{Failure, Kind};
use crate::host::{self, Claimed, Host};
use crate::limits;
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::traffic;
use crate::traffic::ApiLimits;

const HTTP_ADDR: &str = "127.0.0.1:8080";

/// Arguments of `streamspace serve`.
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
    /// URL of the database; prefer DATABASE_URL, which keeps the password out of process lists
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// URL of the NATS server; credentials are NATS_NKEY_FILE, NATS_CREDS, or NATS_USER and NATS_PASSWORD
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
    /// File with the admin token [default: STREAMSPACE_ADMIN_TOKEN]
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<String>,
    /// Platform of sessions that name none [default: the only one that controllers announce, or kubernetes]
    #[arg(long, value_name = "PLATFORM")]
    default_platform: Option<String>,
    /// Maximum number of commands in the outbox; beyond it, requests that start more get 503 [default: 200000]
    #[arg(long, value_name = "COUNT")]
    outbox_limit: Option<String>,
    /// Whether a new controller on a platform that others serve works at once (open, durable lane only) or
    /// waits for `streamspace controller admit` (operator) [default: operator]
    #[arg(long, value_name = "WHO")]
    controllers_admission: Option<String>,
    /// Whether to apply missing schema steps; if false, a database that lacks some is refused [default: true]
    #[arg(long, value_name = "BOOL")]
    migrate: Option<String>,
    /// YAML file with settings; the environment and flags take precedence
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    limits: limits::Args,
    #[command(flatten)]
    traffic: traffic::Args,
}

fn load(args: Args) -> Result<(SocketAddr, connect::Config, host::Settings), Failure> {
    let flags = [
        ("http_addr", args.http_addr),
        ("tls_cert_file", args.tls_cert_file),
        ("tls_key_file", args.tls_key_file),
        ("database_url", args.database_url),
        ("nats_url", args.nats_url),
        ("admin_token_file", args.admin_token_file),
        ("default_platform", args.default_platform),
        ("outbox_limit", args.outbox_limit),
        ("migrate", args.migrate),
        ("controllers_admission", args.controllers_admission),
    ];
    let flags = flags.into_iter().chain(args.limits.flags()).chain(args.traffic.flags());
    let mut settings = Settings::load(args.config.as_deref(), flags);
    let address = host::address(&mut settings, HTTP_ADDR);
    let database_url: Option<String> =
        settings.required("database_url", "postgres://streamspace:password@localhost:5432/streamspace");
    let nats = settings.nats("streamspace serve").map(host::as_engine);
    let has_token = settings.text("admin_token").or_else(|| settings.text("admin_token_file")).is_some();
    let admin_token = host::admin_token(&mut settings);
    if !has_token {
        settings
            .mistake("STREAMSPACE_ADMIN_TOKEN (or --admin-token-file) is missing; the API cannot be used without it");
    }
    let platform: Option<streams::ids::Platform> = settings.optional("default_platform");
    let default_platform = match platform {
        Some(named) => DefaultPlatform::Named(named.into()),
        None => DefaultPlatform::OnlyOne { fallback: "kubernetes".into() },
    };
    let outbox_limit: Option<std::num::NonZeroU32> = settings.optional("outbox_limit");
    let outbox_limit = outbox_limit.map_or(engine::OUTBOX_LIMIT, |limit| i64::from(limit.get()));
    let streams = limits::read(&mut settings);
    let admission = settings.optional("controllers_admission").unwrap_or(machine::admission::Policy::Operator);
    let migrate = settings.switch("migrate", true);
    let retention = host::retention(&mut settings);
    let api = ApiLimits::read(&mut settings);
    let tls = host::tls(&mut settings);
    let read = match (database_url, nats, admin_token) {
        (Some(database_url), Some(nats), Some(admin_token)) => Some((
            address,
            nats,
            host::Settings {
                database_url,
                migrate,
                admin_token,
                default_platform,
                outbox_limit,
                admission,
                streams,
                retention,
                api,
                tls,
            },
        )),
        _ => None,
    };
    settings.finish(read)
}

/// Runs until asked to stop.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let (address, nats, settings) = load(args)?;
    keep_pages_small();
    let claimed = Claimed::take(address)?;
    let shutdown = Shutdown::listen()?;
    let start = async {
        // NATS may start after this process; a wrong password is reported at once.
        let link = connect::connect_patiently(&nats, &shutdown.asked).await;
        let link = link.map_err(|e| Failure::because(Kind::Unavailable, "NATS", &e))?;
        Host::start(settings, link, claimed).await
    };
    let started = shutdown.asked.run_until_cancelled(start).await;
    let Some(host) = started else { return Ok(()) };
    let mut host = host?;
    let ended = tokio::select! {
        () = shutdown.asked.cancelled() => Ok(()),
        ended = host.ended() => ended,
    };
    shutdown.step("api", Duration::from_secs(10), host.stop_api()).await;
    shutdown.step("engine", Duration::from_secs(15), host.stop_engine()).await;
    ended
}

/// Turns off transparent huge pages for this process, which used 80 MB instead of 50 MB at rest without being
/// faster (`make bench`). It has no children that would inherit the setting.
fn keep_pages_small() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "transparent huge pages stay on"); // costs memory, nothing else
    }
}
