//! The circuit breaker of one controller: repeated failures stop new work, and single probes find out when it is well again.
//!
//! A user's mistake never counts (the caller does not report it here). Deletes pass an open breaker.

use serde::{Deserialize, Serialize};

/// Failures in a row that open the breaker.
pub const THRESHOLD: i32 = 5;
/// How long it stays open the first time, in milliseconds; doubles with each failed probe.
pub const OPEN_MS: i64 = 30_000;
/// The longest it stays open before the next probe, in milliseconds.
pub const MAX_OPEN_MS: i64 = 600_000;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Work flows.
    Closed,
    /// No new work until `until_ms`.
    Open,
    /// One probe is under way, and decides.
    HalfOpen,
}

impl State {
    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }

    /// The state of a spelling; anything unknown is closed.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "open" => Self::Open,
            "half_open" => Self::HalfOpen,
            _ => Self::Closed,
        }
    }
}

/// A breaker's facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Where it stands.
    pub state: State,
    /// Failures since the last success.
    pub failures: i32,
    /// When an open one may be probed, in milliseconds since the epoch.
    pub until_ms: Option<i64>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, failures: 0, until_ms: None }
    }
}

impl Breaker {
    /// Work succeeded.
    #[must_use]
    pub fn succeeded(self) -> Self {
        Self::default()
    }

    /// Work failed, and not by a user's mistake.
    #[must_use]
    pub fn failed(self, now_ms: i64) -> Self {
        let failures = self.failures.saturating_add(1);
        if failures < THRESHOLD && self.state == State::Closed {
            return Self { failures, ..self };
        }
        let probes = u32::try_from(failures - THRESHOLD).unwrap_or(0).min(10);
        let open_ms = OPEN_MS.saturating_mul(1 << probes).min(MAX_OPEN_MS);
        Self { state: State::Open, failures, until_ms: Some(now_ms + open_ms) }
    }

    /// Time passed: an open breaker whose time is up takes one probe.
    #[must_use]
    pub fn tick(self, now_ms: i64) -> Self {
        match (self.state, self.until_ms) {
            (State::Open, Some(until)) if until <= now_ms => Self { state: State::HalfOpen, until_ms: None, ..self },
            _ => self,
        }
    }

    /// Whether new work may go to the controller.
    #[must_use]
    pub fn admits(self) -> bool {
        self.state != State::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_failures(count: i32) -> Breaker {
        (0..count).fold(Breaker::default(), |breaker, _| breaker.failed(0))
    }

    #[test]
    fn opens_at_the_threshold_and_not_before() {
        assert!(after_failures(THRESHOLD - 1).admits());
        assert_eq!(after_failures(THRESHOLD).until_ms, Some(OPEN_MS));
        assert!(!after_failures(THRESHOLD).admits());
    }

    #[test]
    fn one_probe_decides() {
        let probing = after_failures(THRESHOLD).tick(OPEN_MS);
        assert_eq!(probing.state, State::HalfOpen);
        assert_eq!(probing.succeeded(), Breaker::default());
        let again = probing.failed(OPEN_MS);
        assert_eq!((again.state, again.until_ms), (State::Open, Some(OPEN_MS + 2 * OPEN_MS)));
    }

    #[test]
    fn stays_open_until_its_time() {
        assert_eq!(after_failures(THRESHOLD).tick(OPEN_MS - 1).state, State::Open);
    }
}
