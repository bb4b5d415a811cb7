//! Why a session is awake, when it will be stopped, and who is warned before.
//!
//! Everything here follows from the facts alone: the signs of use, the limits, and the extensions of the present run. The timer
//! ([`due`]) and the explanation that people read ([`awake`]) come out of the same [`Stop`], so they cannot disagree.

use serde::{Deserialize, Serialize};
use streams::wire::SessionState as S;

use super::{Effect, Error, Observation, Session, Step};
use crate::command::DecisionKind;

/// A warning comes a tenth of the limit before the stop, and at most this long before, in milliseconds.
pub const MAX_LEAD_MS: i64 = 300_000;
/// The extensions of one run add up to its maximum duration, but to this at least, in seconds.
pub const MIN_EXTENSIONS_S: i64 = 8 * 3600;
/// The same, at most.
pub const MAX_EXTENSIONS_S: i64 = 24 * 3600;

/// What was taken for use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// Its run began: idleness counts from there.
    Started,
    /// Someone said so.
    Activity,
    /// It used its CPU.
    Usage,
    /// Someone was connected.
    Connections,
}

impl Sign {
    /// The spelling in SQL, and of the reason's kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Activity => "activity",
            Self::Usage => "usage",
            Self::Connections => "connections",
        }
    }

    /// The sign of a spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Started, Self::Activity, Self::Usage, Self::Connections].into_iter().find(|s| s.as_str() == name)
    }
}

/// What ends a run without anybody asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Nobody uses it.
    Idleness,
    /// It has run as long as it may.
    Duration,
}

/// The next stop of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub limit: Limit,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// When the warning is due; `None` where it was given.
    pub warning_ms: Option<i64>,
}

/// A warning of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// What ends the run.
    pub limit: Limit,
    /// When.
    pub stops_at_ms: i64,
}

impl Warning {
    /// The decision's name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.limit {
            Limit::Idleness => "idle_warning",
            Limit::Duration => "expiry_warning",
        }
    }

    /// What prevents the stop, for people.
    #[must_use]
    pub const fn way_out(self) -> &'static str {
        match self.limit {
            Limit::Idleness => "use it, or POST /sessions/{id}/activity, or POST /sessions/{id}/extend",
            Limit::Duration => "POST /sessions/{id}/extend; use does not prevent it",
        }
    }
}

/// One reason why a session is awake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `connections`, `activity`, `usage`, `started`, `extension`, `maximum_duration` or `no_idle_timeout`.
    pub kind: &'static str,
    /// The same for people.
    pub detail: String,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
}

/// Why a session is awake and how long it stays so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awake {
    /// What keeps it awake.
    pub reasons: Vec<Reason>,
    /// When it is hibernated unless someone uses it; `None` while connections are open, or where it has no idle timeout.
    pub sleeps_at_ms: Option<i64>,
    /// When its maximum duration ends.
    pub expires_at_ms: Option<i64>,
    /// Up to when the next stop can be pushed by extensions; `None` where nothing is left, or no stop is coming.
    pub extendable_until_ms: Option<i64>,
}

/// Why it is awake; `None` where it does not run.
#[must_use]
pub fn awake(session: &Session) -> Option<Awake> {
    if session.status != S::Running {
        return None;
    }
    let left_ms = extensions_left_s(session) * 1000;
    Some(Awake {
        reasons: reasons(session),
        sleeps_at_ms: sleeps_at(session),
        expires_at_ms: session.expires_ms,
        extendable_until_ms: next_stop(session).map(|stop| stop.at_ms + left_ms).filter(|_| left_ms > 0),
    })
}

/// When idleness or a warning is to be looked into.
#[must_use]
pub fn due(session: &Session) -> Option<i64> {
    next_stop(session).map(|stop| stop.warning_ms.unwrap_or(stop.at_ms))
}

/// The stop that comes first, if nothing happens.
#[must_use]
pub fn next_stop(session: &Session) -> Option<Stop> {
    if session.status != S::Running {
        return None;
    }
    let stop = |limit, at_ms: i64, length_s: Option<i64>, warned: Option<i64>| {
        let lead_ms = (length_s.unwrap_or(0) * 100).min(MAX_LEAD_MS); // a tenth of so many thousand milliseconds
        Stop { limit, at_ms, warning_ms: Some(at_ms - lead_ms).filter(|_| warned != Some(at_ms)) }
    };
    let idle = sleeps_at(session).map(|at| stop(Limit::Idleness, at, session.idle_timeout_s, session.idle_warned_ms));
    let end = session.expires_ms.map(|at| stop(Limit::Duration, at, session.max_duration_s, session.expiry_warned_ms));
    idle.into_iter().chain(end).min_by_key(|stop| stop.at_ms)
}

/// When it falls asleep unless it is used; an open connection is use for as long as it lasts.
fn sleeps_at(session: &Session) -> Option<i64> {
    if connected(session) {
        return None;
    }
    let idle = session.last_activity_ms + session.idle_timeout_s? * 1000;
    Some(session.awake_until_ms.map_or(idle, |until| until.max(idle)))
}

fn connected(session: &Session) -> bool {
    session.connections.is_some_and(|count| count > 0)
}

fn extensions_left_s(session: &Session) -> i64 {
    extensions_s(session) - session.extended_s
}

/// How far the extensions of one run go.
fn extensions_s(session: &Session) -> i64 {
    session.max_duration_s.unwrap_or(0).clamp(MIN_EXTENSIONS_S, MAX_EXTENSIONS_S)
}

fn reasons(session: &Session) -> Vec<Reason> {
    let reason = |kind, since_ms, detail: String| Reason { kind, detail, since_ms };
    let began = session.run_ms.unwrap_or(session.last_activity_ms);
    let mut reasons = Vec::new();
    if connected(session) {
        let count = session.connections.unwrap_or(0);
        let detail = if count == 1 { "1 connection is open".into() } else { format!("{count} connections are open") };
        reasons.push(reason("connections", session.connected_ms.unwrap_or(session.last_activity_ms), detail));
    }
    let Some(timeout_s) = session.idle_timeout_s else {
        reasons.push(match session.max_duration_s {
            Some(_) => {
                reason("maximum_duration", began, "it has no idle timeout: it runs until its time is over".into())
            }
            None => reason("no_idle_timeout", began, "it has no idle timeout and no maximum duration".into()),
        });
        return reasons;
    };
    let idle_at = session.last_activity_ms + timeout_s * 1000;
    if session.awake_until_ms.is_some_and(|until| until > idle_at) {
        let detail = format!("extended by {}", duration(session.extended_s));
        reasons.push(reason("extension", session.extended_at_ms.unwrap_or(began), detail));
    } else if !connected(session) {
        let timeout = duration(timeout_s);
        let detail = format!("{}, less than {timeout} ago", last_sign(session.last_sign));
        reasons.push(reason(session.last_sign.as_str(), session.last_activity_ms, detail));
    }
    reasons
}

const fn last_sign(sign: Sign) -> &'static str {
    match sign {
        Sign::Started => "it was started",
        Sign::Activity => "someone said that it is in use",
        Sign::Usage => "it was seen using its CPU",
        Sign::Connections => "its last connection was closed",
    }
}

fn duration(seconds: i64) -> String {
    streams::duration::format(std::time::Duration::from_secs(seconds.unsigned_abs()))
}

impl Step<'_> {
    /// What is desired runs: its limits count from now.
    pub(super) fn begin_run(&mut self) {
        self.sign(Sign::Started);
        let now = self.context.now_ms;
        let s = &mut self.session;
        let extended_ms = s.extended_s * 1000;
        s.run_ms = Some(now);
        s.expires_ms = s.max_duration_s.map(|seconds| now + seconds * 1000 + extended_ms);
        let until = s.idle_timeout_s.map(|seconds| now + seconds * 1000 + extended_ms);
        s.awake_until_ms = until.filter(|_| extended_ms > 0);
    }

    /// The run is over, or never came about: its limits, its extensions and its connections are gone with it.
    pub(super) fn end_run(&mut self) {
        let s = &mut self.session;
        (s.run_ms, s.expires_ms, s.idle_ms) = (None, None, None);
        (s.awake_until_ms, s.extended_s, s.extended_at_ms) = (None, 0, None);
        (s.idle_warned_ms, s.expiry_warned_ms) = (None, None);
        (s.connections, s.connected_ms) = (None, None);
    }

    pub(super) fn sign(&mut self, sign: Sign) {
        self.session.last_activity_ms = self.context.now_ms;
        self.session.last_sign = sign;
    }

    /// Signs of use in a report. A connection was use until the moment that it is not reported any more.
    pub(super) fn signs(&mut self, seen: &Observation) {
        if seen.in_use {
            self.sign(Sign::Usage);
        }
        let Some(count) = seen.connections else { return };
        let (before, now) = (connected(&self.session), count > 0);
        self.session.connections = Some(count);
        if now && !before {
            self.session.connected_ms = Some(self.context.now_ms);
        } else if !now {
            self.session.connected_ms = None;
        }
        if before || now {
            self.sign(Sign::Connections);
        }
    }

    /// Pushes the coming stops, within bounds. A session that never stops by itself has nothing to push.
    pub(super) fn extend(&mut self, by_s: i64) -> Result<(), Error> {
        if !matches!(self.session.status, S::Running | S::Creating | S::Waking) {
            return Err(self.illegal("extend"));
        }
        let left_s = extensions_left_s(&self.session);
        if by_s > left_s {
            return Err(Error::TooFar { by_s, left_s, total_s: extensions_s(&self.session) });
        }
        let now = self.context.now_ms;
        let s = &mut self.session;
        if s.idle_timeout_s.is_none() && s.max_duration_s.is_none() {
            return Ok(());
        }
        (s.extended_s, s.extended_at_ms) = (s.extended_s + by_s, Some(now));
        if s.status == S::Running {
            let idle = s.idle_timeout_s.map(|seconds| now + seconds * 1000);
            s.awake_until_ms = idle.map(|idle| sleeps_at(s).unwrap_or(idle) + by_s * 1000);
            s.expires_ms = s.expires_ms.map(|at| at + by_s * 1000);
        }
        self.effects.push(Effect::Decide(DecisionKind::Extended));
        Ok(())
    }

    /// Stops the run, or warns of its stop, where the time for that has come.
    pub(super) fn look_at_stops(&mut self) {
        let now = self.context.now_ms;
        let Some(stop) = next_stop(&self.session) else { return };
        if stop.at_ms <= now {
            self.session.command.reason = Some(match stop.limit {
                Limit::Idleness => format!("idle for {} s", (now - self.session.last_activity_ms) / 1000),
                Limit::Duration => "maximum duration reached".into(),
            });
            self.fall_asleep();
        } else if stop.warning_ms.is_some_and(|at| at <= now) {
            match stop.limit {
                Limit::Idleness => self.session.idle_warned_ms = Some(stop.at_ms),
                Limit::Duration => self.session.expiry_warned_ms = Some(stop.at_ms),
            }
            self.effects.push(Effect::Warn(Warning { limit: stop.limit, stops_at_ms: stop.at_ms }));
        }
    }
}
