//! `streamspace controller`: runs one platform controller as a process; its subcommands manage the controllers
//! of a server.

use std::path::PathBuf;
use std::time::Duration;

use controllers::registration::{NotOpened, Open};
use controllers::runtime;
use streams::ids::{ControllerId, Platform};
use streams::wire::Object;

use crate::client;
use crate::failure::{Failure, Kind};
use crate::files;
use crate::platforms;
use crate::settings::Settings;
use crate::shutdown::Shutdown;

/// Arguments of `streamspace controller`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    ask: Option<client::controllers::Command>,
    #[command(flatten)]
    run: Run,
}

impl Args {
    /// Whether to run a controller, as opposed to a subcommand.
    pub(crate) const fn runs(&self) -> bool {
        self.ask.is_none()
    }
}

#[derive(Debug, clap::Args)]
struct Run {
    /// ID of the controller, the same for all its replicas [default: CONTROLLER_ID]
    #[arg(long, value_name = "ID")]
    controller_id: Option<String>,
    /// Platform to drive: docker, local or noop [default: CONTROLLER_PLATFORM]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// URL of the NATS server; credentials are NATS_NKEY_FILE, NATS_CREDS, or NATS_USER and NATS_PASSWORD
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
    /// Folder for its state
    #[arg(long, value_name = "DIR")]
    state_dir: Option<String>,
    /// Time between two heartbeats [default: HEARTBEAT_INTERVAL, or 10s]
    #[arg(long, value_name = "TIME")]
    heartbeat_interval: Option<String>,
    /// Maximum number of sessions
    #[arg(long, value_name = "N")]
    sessions_max: Option<String>,
    /// Labels for placement, such as zone=eu-1,gpu=yes
    #[arg(long, value_name = "NAME=VALUE,...")]
    labels: Option<String>,
    /// Distinguishes the resources of two installations on one platform [default: streamspace]
    #[arg(long, value_name = "NAME")]
    installation: Option<String>,
    /// YAML file with settings; the environment and flags take precedence
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs a controller or a subcommand.
pub(crate) async fn dispatch(args: Args, factory: client::ClientFactory) -> Result<(), Failure> {
    match args.ask {
        Some(command) => client::controllers::run(command, factory).await,
        None => run(args.run).await,
    }
}

fn load(run: Run) -> Result<(runtime::Config, Open), Failure> {
    let flags = [
        ("controller_id", run.controller_id),
        ("controller_platform", run.platform),
        ("nats_url", run.nats_url),
        ("state_dir", run.state_dir),
        ("heartbeat_interval", run.heartbeat_interval),
        ("sessions_max", run.sessions_max),
        ("labels", run.labels),
        ("installation", run.installation),
    ];
    let mut settings = Settings::load(run.config.as_deref(), flags);
    let id: Option<ControllerId> = settings.required("controller_id", "local-1");
    let platform: Option<Platform> = settings.required("controller_platform", "local");
    let nats = settings.nats("streamspace controller");
    let drive = platform.as_ref().and_then(|platform| drive(platform, &mut settings));
    let heartbeat = heartbeat_interval(&mut settings);
    let labels = settings.read("labels", labels);
    let read = match (id, platform, nats, drive) {
        (Some(id), Some(platform), Some(nats), Some((drive, schema))) => {
            let mut config =
                runtime::Config { heartbeat_interval: heartbeat, ..runtime::Config::new(id, platform, nats) };
            config.labels = labels.unwrap_or_default();
            config.template_schema = Some(schema);
            if let Some(installation) = settings.text("installation") {
                config.installation = installation;
            }
            Some((config, drive))
        }
        _ => None,
    };
    settings.finish(read)
}

/// Time between two heartbeats; engines accept at most a minute.
pub(crate) fn heartbeat_interval(settings: &mut Settings) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(machine::identity::DEFAULT_INTERVAL_S as u64);
    const LONGEST: Duration = Duration::from_secs(machine::identity::MAX_INTERVAL_S as u64);
    let read = |text: &str| match streams::duration::parse(text) {
        Ok(interval) if interval.is_zero() || interval > LONGEST => {
            Err(format!("{text:?} must be more than 0s and at most {}s", LONGEST.as_secs()))
        }
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    };
    settings.read("heartbeat_interval", read).unwrap_or(DEFAULT)
}

/// Parses labels for placement.
fn labels(text: &str) -> Result<Object, String> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().into()))
        }
        _ => Err(format!("{pair:?} is not a label; write NAME=VALUE, separated by commas")),
    };
    text.split(',').map(pair).collect()
}

/// Reads the settings of the driver; returns how to open it, and the schema of its block in templates.
fn drive(platform: &Platform, settings: &mut Settings) -> Option<(Open, serde_json::Value)> {
    let driver = settings.text("driver").unwrap_or_else(|| platform.to_string());
    let Some(registered) = platforms::named(&driver) else {
        settings.mistake(format!(
            "CONTROLLER_PLATFORM (or STREAMSPACE_DRIVER)={driver}: this program drives {}",
            platforms::names()
        ));
        return None;
    };
    Some(((registered.configure)(settings)?, (registered.schema)()))
}

fn not_opened(error: NotOpened) -> Failure {
    let kind = if error.in_use { Kind::Conflict } else { Kind::Usage };
    let failure = Failure::because(kind, "driver", &error);
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

async fn run(run: Run) -> Result<(), Failure> {
    let (config, drive) = load(run)?;
    files::private();
    let driver = drive().await.map_err(not_opened)?;
    let shutdown = Shutdown::listen()?;
    let working = runtime::run(config, driver, shutdown.asked.clone());
    tokio::select! {
        ended = working => ended.map_err(|e| Failure::because(Kind::Unavailable, "controller", &e)),
        () = shutdown.hurry.cancelled() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_pairs_and_what_is_none_is_named() {
        let read = labels("zone=eu-1, gpu=yes").map(|labels| serde_json::Value::Object(labels).to_string());
        assert_eq!(read, Ok(r#"{"gpu":"yes","zone":"eu-1"}"#.to_owned()));
        for wrong in ["zone", "=eu", "zone=", "zone=eu,"] {
            assert!(labels(wrong).is_err_and(|why| why.contains("NAME=VALUE")), "{wrong}");
        }
    }
}
