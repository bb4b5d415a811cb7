//! The health of a controller: what its heartbeats, its silence and its failures make of it.

use serde::{Deserialize, Serialize};
use streams::wire::ControllerHealth;

use crate::breaker::Breaker;

/// Intervals without a heartbeat after which a controller is unhealthy.
pub const MISSED_HEARTBEATS: i64 = 3;

/// The facts that health is decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// What is shown, and what placement asks.
    pub status: ControllerHealth,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// Its breaker.
    #[serde(flatten)]
    pub breaker: Breaker,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It spoke, and said this of itself.
    Heartbeat(ControllerHealth),
    /// It did not speak for too long, while the engine was listening.
    Silent,
    /// Work succeeded.
    Success,
    /// Work failed, and not by a user's mistake.
    Failure,
    /// Time passed.
    Tick,
}

/// Decides.
#[must_use]
pub fn decide(controller: &Controller, event: Event, now_ms: i64) -> Controller {
    let mut next = controller.clone();
    match event {
        Event::Heartbeat(own) => {
            next.status = own;
            next.reason = (own != ControllerHealth::Healthy).then(|| format!("says of itself: {}", own.as_str()));
        }
        Event::Silent => {
            next.status = ControllerHealth::Unhealthy;
            next.reason = Some("no heartbeat".into());
        }
        Event::Success => next.breaker = next.breaker.succeeded(),
        Event::Failure => next.breaker = next.breaker.failed(now_ms),
        Event::Tick => next.breaker = next.breaker.tick(now_ms),
    }
    next
}

impl Controller {
    /// Whether it may get new work.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.status == ControllerHealth::Healthy && self.breaker.admits()
    }
}

/// Whether a silence is long enough to count. Only the time since the engine itself was connected counts.
#[must_use]
pub fn is_silent(now_ms: i64, last_heartbeat_ms: i64, listening_since_ms: i64, interval_s: i64) -> bool {
    now_ms - last_heartbeat_ms.max(listening_since_ms) > MISSED_HEARTBEATS * interval_s.max(1) * 1000
}
