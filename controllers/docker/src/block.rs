//! The block `spec.docker` of a template: how a container is made of it, beyond what every platform understands.

use std::time::Duration;

use controllers::driver::{Spec, user_error};
use schemars::JsonSchema;
use serde::Deserialize;
use streams::{
    duration, quantity,
    wire::{Failure, GRACE_MAX, Liveness, Readiness, Restart, Stop},
};

/// When an image is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// At each create, so that a tag that moved is noticed.
    Always,
    /// Where the engine does not have it.
    #[default]
    Missing,
    /// Not by this controller.
    Never,
}

impl std::str::FromStr for Pull {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(Self::Always),
            "missing" => Ok(Self::Missing),
            "never" => Ok(Self::Never),
            _ => Err("it is always, missing or never".into()),
        }
    }
}

/// What a hibernating container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Hibernate {
    /// It is stopped. Its file system and its volumes stay.
    #[default]
    Stop,
    /// Its processes are frozen, and keep their memory.
    Pause,
}

/// Where the home is, and how it may be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Home {
    /// Where it is mounted; the mount named `user-home` or `home` unless given, else `/home/user`.
    #[serde(default)]
    pub path: Option<String>,
    /// Several sessions of one user may use the home at the same time.
    #[serde(default)]
    pub shared: bool,
}

/// A folder of the host in the container. Only below paths that the controller's settings allow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostPath {
    /// On the host.
    pub host_path: String,
    /// In the container.
    pub mount_path: String,
    /// It cannot be written.
    #[serde(default)]
    pub read_only: bool,
}

/// How the platform `docker` runs a template.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Block {
    /// Replaces the entry point of the image.
    pub command: Vec<String>,
    /// Replaces the command of the image, the arguments of its entry point.
    pub args: Vec<String>,
    /// Where it starts; the image's own unless given.
    pub working_dir: Option<String>,
    /// Who it is; the image's own unless given.
    pub user: Option<String>,
    /// A small init process reaps what the program leaves behind. Not for images with an init of their own.
    pub init: bool,
    /// Size of `/dev/shm`, such as `1Gi`.
    pub shm_size: Option<String>,
    /// Processes and threads that it may have, up to the controller's own limit.
    pub pids: Option<u32>,
    /// When the image is fetched; the controller's setting unless given.
    pub pull: Option<Pull>,
    /// When it counts as running.
    pub readiness: Option<Readiness>,
    /// How it is checked while it runs.
    pub liveness: Option<Liveness>,
    /// How it is asked to end.
    pub stop: Option<Stop>,
    /// Whether the controller starts it again when it ends.
    pub restart: Option<Restart>,
    /// What hibernating does.
    pub hibernate: Hibernate,
    /// Where the home is.
    pub home: Option<Home>,
    /// Capabilities of the kernel that it has besides the engine's usual ones. Each has to be allowed by the controller's settings.
    pub cap_add: Vec<String>,
    /// Capabilities that it does not have.
    pub cap_drop: Vec<String>,
    /// Security options of the engine. They have to be allowed by the controller's settings.
    pub security_opt: Vec<String>,
    /// Devices of the host. Each has to be allowed by the controller's settings.
    pub devices: Vec<String>,
    /// Folders of the host. Each has to be allowed by the controller's settings.
    pub host_paths: Vec<HostPath>,
    /// All rights on the host. It has to be allowed by the controller's settings.
    pub privileged: bool,
    /// The host's network. It has to be allowed by the controller's settings.
    pub host_network: bool,
    /// The host's processes. It has to be allowed by the controller's settings.
    pub host_pid: bool,
    /// The host's shared memory. It has to be allowed by the controller's settings.
    pub host_ipc: bool,
}

impl Block {
    /// The block of a template; the default where it has none.
    ///
    /// # Errors
    /// A user's mistake, with the field.
    pub(crate) fn of(spec: &Spec) -> Result<Self, Failure> {
        let value = spec.template.as_ref().and_then(|template| template.spec.extra.get("docker"));
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Self::default()) };
        let block = Self::deserialize(value).map_err(|e| mistake("spec.docker", e))?;
        block.check()?;
        Ok(block)
    }

    fn check(&self) -> Result<(), Failure> {
        let times = [
            ("stop.grace", self.stop.as_ref().and_then(|stop| stop.grace.as_deref()), GRACE_MAX),
            ("readiness.timeout", self.readiness.as_ref().and_then(|r| r.timeout.as_deref()), READINESS_MAX),
            ("liveness.interval", self.liveness.as_ref().and_then(|l| l.interval.as_deref()), DAY),
            ("liveness.timeout", self.liveness.as_ref().and_then(|l| l.timeout.as_deref()), DAY),
            ("restart.window", self.restart.as_ref().and_then(|r| r.window.as_deref()), DAY),
        ];
        for (field, text, most) in times {
            let Some(text) = text else { continue };
            let field = format!("spec.docker.{field}");
            let time = duration::parse(text).map_err(|e| mistake(&field, e))?;
            if time > most {
                return Err(mistake(&field, format!("must be at most {most:?}, not {text}")));
            }
        }
        if let Some(size) = &self.shm_size {
            quantity::bytes(size).map_err(|e| mistake("spec.docker.shmSize", e))?;
        }
        let paths = self.readiness.iter().map(|r| &r.path).chain(self.liveness.iter().map(|l| &l.path)).flatten();
        for path in paths {
            if !path.starts_with('/') || path.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return Err(mistake("spec.docker.readiness.path", "must begin with \"/\" and hold no spaces"));
            }
        }
        Ok(())
    }

    /// How long it has between SIGTERM and SIGKILL.
    pub(crate) fn grace(&self, default: Duration) -> Duration {
        time(self.stop.as_ref().and_then(|stop| stop.grace.as_deref()), default).min(GRACE_MAX)
    }

    /// How long a start may take to become ready.
    pub(crate) fn readiness_timeout(&self) -> Duration {
        time(self.readiness.as_ref().and_then(|r| r.timeout.as_deref()), READINESS).min(READINESS_MAX)
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A container may have more to do before it answers than a process.
const READINESS: Duration = Duration::from_secs(60);
/// A start has to end within the five minutes that a controller gives a command.
const READINESS_MAX: Duration = Duration::from_secs(4 * 60);

pub(crate) fn time(text: Option<&str>, default: Duration) -> Duration {
    text.and_then(|text| duration::parse(text).ok()).unwrap_or(default)
}

/// A mistake in a template, by its field.
pub(crate) fn mistake(field: &str, rule: impl std::fmt::Display) -> Failure {
    user_error("bad_template", format!("{field}: {rule}"))
}

/// The JSON Schema of the block.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Block).to_value()
}
