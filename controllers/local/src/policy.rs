//! What a template says about the life of its process, with every default filled in.

use std::time::Duration;

use streams::{
    duration,
    wire::{GRACE_MAX, Liveness, Local, RestartPolicy},
};

use super::process::Exit;
use controllers::driver::Spec;

const READINESS_TIMEOUT: Duration = Duration::from_secs(30);
const LIVENESS_INTERVAL: Duration = Duration::from_secs(30);
const LIVENESS_TIMEOUT: Duration = Duration::from_secs(5);
const LIVENESS_FAILURES: u32 = 3;
const RESTARTS: u32 = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(10 * 60);

/// When it counts as running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) path: Option<String>,
    pub(super) timeout: Duration,
}

/// When it no longer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checks {
    pub(super) path: Option<String>,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) failures: u32,
}

/// How often the controller starts it again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Restarts {
    policy: RestartPolicy,
    pub(super) max: u32,
    pub(super) window: Duration,
}

impl Restarts {
    /// Whether this end calls for a restart. What ended unseen may have been a success, and counts as a failure.
    pub(super) fn wants(self, exit: Option<Exit>) -> bool {
        match self.policy {
            RestartPolicy::Never => false,
            RestartPolicy::OnFailure => exit != Some(Exit::Code(0)),
            RestartPolicy::Always => true,
        }
    }
}

fn local(spec: &Spec) -> Option<&Local> {
    spec.template.as_ref()?.spec.local.as_ref()
}

fn time(text: Option<&str>, default: Duration) -> Duration {
    text.and_then(|text| duration::parse(text).ok()).unwrap_or(default)
}

/// The path of the template's web application that tells whether it is well. It goes into the first line of a request.
fn health_check(spec: &Spec) -> Option<String> {
    let path = spec.template.as_ref()?.spec.webapp.as_ref()?.health_check.clone()?;
    (path.starts_with('/') && !path.chars().any(|c| c.is_whitespace() || c.is_control())).then_some(path)
}

pub(super) fn readiness(spec: &Spec) -> Readiness {
    let readiness = local(spec).and_then(|local| local.readiness.as_ref());
    let path = readiness.and_then(|readiness| readiness.path.clone()).or_else(|| health_check(spec));
    Readiness { path, timeout: time(readiness.and_then(|readiness| readiness.timeout.as_deref()), READINESS_TIMEOUT) }
}

/// `None` where nothing asks for checks.
pub(super) fn checks(spec: &Spec) -> Option<Checks> {
    let liveness = local(spec).and_then(|local| local.liveness.clone());
    let path = health_check(spec);
    if liveness.is_none() && path.is_none() {
        return None;
    }
    let liveness: Liveness = liveness.unwrap_or_default();
    Some(Checks {
        path: liveness.path.or(path),
        interval: time(liveness.interval.as_deref(), LIVENESS_INTERVAL),
        timeout: time(liveness.timeout.as_deref(), LIVENESS_TIMEOUT),
        failures: liveness.failures.unwrap_or(LIVENESS_FAILURES).max(1),
    })
}

pub(super) fn restarts(spec: &Spec) -> Restarts {
    let restart = local(spec).and_then(|local| local.restart.clone()).unwrap_or_default();
    let window = time(restart.window.as_deref(), RESTART_WINDOW);
    Restarts { policy: restart.policy, max: restart.max.unwrap_or(RESTARTS), window }
}

/// The template's, else the controller's.
pub(super) fn grace(spec: &Spec, default: Duration) -> Duration {
    let stop = local(spec).and_then(|local| local.stop.as_ref());
    time(stop.and_then(|stop| stop.grace.as_deref()), default).min(GRACE_MAX)
}

pub(super) fn shares_home(spec: &Spec) -> bool {
    local(spec).and_then(|local| local.home.as_ref()).is_some_and(|home| home.shared)
}
