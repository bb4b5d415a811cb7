//! The blocks of a template for stopping, watching and restarting a process on the platform `local`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::template::{Local, ManifestError};
use crate::duration;

/// Maximum of `stop.grace`: a stop has to finish within the five minutes that a controller has for a command.
pub const GRACE_MAX: Duration = Duration::from_secs(4 * 60);
/// Maximum number of restarts within the window.
pub const RESTARTS_MAX: u32 = 100;
/// Maximum number of failed liveness checks in a row.
pub const FAILURES_MAX: u32 = 100;
/// Range of `liveness.interval`, `liveness.timeout` and `restart.window`.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// How a process is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stop {
    /// Time between SIGTERM and SIGKILL, as a duration of at most `4m`; the default is the controller's setting (5 s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<String>,
}

/// How a running process is checked. It counts as dead after several failures in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Liveness {
    /// HTTP path that has to answer below 500; the default is `webapp.healthCheck`, without which the port only
    /// has to accept connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Time between two checks, as a duration (`30s`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Time limit of a check, as a duration (`5s`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Number of failures in a row after which it counts as dead (3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
}

/// When the controller itself restarts a process that has ended, without involving the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// The end is reported, and the engine decides.
    #[default]
    Never,
    /// After any end but exit code 0.
    OnFailure,
    /// After any end.
    Always,
}

/// The restart policy and its bounds. Beyond them the session fails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restart {
    /// `never`, `on-failure` or `always`.
    #[serde(default)]
    pub policy: RestartPolicy,
    /// Maximum number of restarts within `window` (5, at most 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// A duration (`10m`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
}

/// How a persistent home may be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HomeUse {
    /// Several sessions of a user may use the home at the same time.
    #[serde(default)]
    pub shared: bool,
}

/// Checks the block.
pub(super) fn check(local: &Local) -> Result<(), ManifestError> {
    let grace = local.stop.as_ref().and_then(|stop| stop.grace.as_deref());
    within("spec.local.stop.grace", grace, &(Duration::ZERO..=GRACE_MAX))?;
    if let Some(liveness) = &local.liveness {
        within("spec.local.liveness.interval", liveness.interval.as_deref(), &INTERVALS)?;
        within("spec.local.liveness.timeout", liveness.timeout.as_deref(), &INTERVALS)?;
        path("spec.local.liveness.path", liveness.path.as_deref())?;
        count("spec.local.liveness.failures", liveness.failures, FAILURES_MAX)?;
    }
    if let Some(restart) = &local.restart {
        within("spec.local.restart.window", restart.window.as_deref(), &INTERVALS)?;
        count("spec.local.restart.max", restart.max, RESTARTS_MAX)?;
    }
    path("spec.local.readiness.path", local.readiness.as_ref().and_then(|readiness| readiness.path.as_deref()))
}

fn refuse(field: &str, rule: String) -> Result<(), ManifestError> {
    Err(ManifestError::Field { field: field.into(), rule })
}

fn within(field: &str, text: Option<&str>, range: &std::ops::RangeInclusive<Duration>) -> Result<(), ManifestError> {
    let Some(text) = text else { return Ok(()) };
    match duration::parse(text) {
        Ok(time) if range.contains(&time) => Ok(()),
        Ok(_) => refuse(field, format!("must be between {:?} and {:?}, not {text}", range.start(), range.end())),
        Err(e) => refuse(field, e.to_string()),
    }
}

fn count(field: &str, number: Option<u32>, most: u32) -> Result<(), ManifestError> {
    match number {
        Some(number) if number == 0 || number > most => {
            refuse(field, format!("must be between 1 and {most}, not {number}"))
        }
        _ => Ok(()),
    }
}

/// It becomes part of the request line.
fn path(field: &str, path: Option<&str>) -> Result<(), ManifestError> {
    match path {
        Some(path) if !path.starts_with('/') || path.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            refuse(field, format!("must begin with \"/\" and contain no spaces, not {path:?}"))
        }
        _ => Ok(()),
    }
}
