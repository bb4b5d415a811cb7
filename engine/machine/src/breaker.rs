//! The circuit breaker of one controller: repeated failures stop new work, and single probes find out when it is well again.
//!
//! Failures are counted by kind since the last success; a user's mistake never counts (the caller does not report it here).
//! Deletes pass an open breaker, and only the probe decides a half-open one: what was sent before says nothing about now.
//! Operators open, close and hold it; one that is held stays where it is until it is released.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::command::DEADLINE_MS;

/// Failures in a row that open the breaker.
pub const THRESHOLD: i32 = 5;
/// How long it stays open the first time, in milliseconds; doubles with each failed probe.
pub const OPEN_MS: i64 = 30_000;
/// The longest it stays open before the next probe, in milliseconds.
pub const MAX_OPEN_MS: i64 = 600_000;
/// How long a probe may take, in milliseconds: longer than a command's own deadline, whose error comes first.
pub const PROBE_MS: i64 = DEADLINE_MS + 60_000;
/// Who opened it, where no operator did.
pub const FAILURES: &str = "failures";

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Work flows.
    Closed,
    /// No new work.
    Open,
    /// One probe is let through, and decides.
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

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The driver said that it could not.
    Driver,
    /// It was not done in time, or never answered.
    Timeout,
    /// Its heartbeats stayed away.
    Unreachable,
}

impl Kind {
    /// The kind of a failure that a controller reported, by its code.
    #[must_use]
    pub fn of(code: &str) -> Self {
        if matches!(code, "timeout" | "no_report") { Self::Timeout } else { Self::Driver }
    }

    /// The spelling in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Failures since the last success, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the kinds' own
pub struct Kinds {
    pub driver: i32,
    pub timeout: i32,
    pub unreachable: i32,
}

impl Kinds {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> i32 {
        self.driver.saturating_add(self.timeout).saturating_add(self.unreachable)
    }

    fn count(&mut self, kind: Kind) {
        let one = match kind {
            Kind::Driver => &mut self.driver,
            Kind::Timeout => &mut self.timeout,
            Kind::Unreachable => &mut self.unreachable,
        };
        *one = one.saturating_add(1);
    }
}

/// What an operator wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Open now, and find out by itself when it is well again.
    Open,
    /// Closed now, as if nothing had failed.
    Close,
    /// Open until it is released.
    HoldOpen,
    /// Closed until it is released, whatever fails.
    HoldClosed,
    /// By itself again: one that was held open is probed at once.
    Release,
}

/// A breaker's facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Where it stands.
    pub state: State,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// When an open one may be probed, or a probe is given up, in milliseconds since the epoch.
    pub until_ms: Option<i64>,
    /// Failures since the last success.
    pub kinds: Kinds,
    /// How often it opened since it was closed last.
    pub trips: i32,
    /// The command that is the probe.
    pub probe: Option<Uuid>,
    /// It stays where it is until it is released.
    pub held: bool,
    /// Who put it there: `failures`, or `operator:<name>`.
    pub by: Option<String>,
    /// Why: the last error, or what the operator said.
    pub reason: Option<String>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            since_ms: None,
            until_ms: None,
            kinds: Kinds::default(),
            trips: 0,
            probe: None,
            held: false,
            by: None,
            reason: None,
        }
    }
}

impl Breaker {
    /// A command ended well.
    pub fn succeeded(&mut self, command: Uuid, now_ms: i64) {
        match self.state {
            State::Closed => self.kinds = Kinds::default(),
            State::HalfOpen if self.probe == Some(command) => self.close(now_ms),
            State::HalfOpen | State::Open => {}
        }
    }

    /// Something failed, and not by a user's mistake: a command, or the controller fell silent.
    pub fn failed(&mut self, command: Option<Uuid>, kind: Kind, why: &str, now_ms: i64) {
        self.kinds.count(kind);
        let opens = match self.state {
            State::Closed => !self.held && self.kinds.total() >= THRESHOLD,
            State::HalfOpen => kind == Kind::Unreachable || (command.is_some() && command == self.probe),
            State::Open => false,
        };
        if opens {
            self.trip(FAILURES, why, now_ms);
        }
    }

    /// A command goes out: where it is half open, that is the probe.
    pub fn sent(&mut self, command: Uuid, now_ms: i64) {
        if self.state == State::HalfOpen && self.probe.is_none() {
            self.probe = Some(command);
            self.until_ms = Some(now_ms + PROBE_MS);
        }
    }

    /// A command ended without saying anything of its controller: if it was the probe, another may be sent.
    pub fn abandoned(&mut self, command: Uuid) {
        if self.state == State::HalfOpen && self.probe == Some(command) {
            self.probe = None;
            self.until_ms = None;
        }
    }

    /// Time passed: an open breaker whose time is up takes one probe, and a probe that nobody heard of has failed.
    pub fn tick(&mut self, now_ms: i64) {
        if self.held || self.until_ms.is_none_or(|until| until > now_ms) {
            return;
        }
        match self.state {
            State::Open => {
                self.state = State::HalfOpen;
                self.since_ms = Some(now_ms);
                self.until_ms = None;
            }
            State::HalfOpen => {
                let probe = self.probe;
                self.failed(probe, Kind::Timeout, "nothing was heard of the probe", now_ms);
            }
            State::Closed => self.until_ms = None,
        }
    }

    /// An operator orders.
    pub fn ordered(&mut self, order: Order, by: &str, why: &str, now_ms: i64) {
        let before = self.clone();
        match order {
            Order::Open if self.state == State::Open && !self.held => return,
            Order::Close | Order::HoldClosed => self.close(now_ms),
            Order::Open => self.trip("", "", now_ms),
            Order::HoldOpen => self.hold_open(now_ms),
            Order::Release if self.held && self.state == State::Open => self.until_ms = Some(now_ms),
            Order::Release => {}
        }
        self.held = matches!(order, Order::HoldOpen | Order::HoldClosed);
        if before.state == self.state {
            self.since_ms = before.since_ms;
        }
        let stays = before.held == self.held || order == Order::Release;
        if self.state == State::Closed && !self.held {
            (self.by, self.reason) = (None, None);
        } else if before.state == self.state && stays {
            (self.by, self.reason) = (before.by, before.reason); // who was first stays
        } else {
            self.by = Some(format!("operator:{by}"));
            self.reason = Some(why.to_owned());
        }
    }

    /// Whether new work may go to the controller.
    #[must_use]
    pub const fn admits(&self) -> bool {
        match self.state {
            State::Closed => true,
            State::HalfOpen => self.probe.is_none(),
            State::Open => false,
        }
    }

    /// Whether only one more command may go.
    #[must_use]
    pub fn probes(&self) -> bool {
        self.state == State::HalfOpen
    }

    /// Nothing that happens to other commands would change it.
    #[must_use]
    pub fn at_ease(&self) -> bool {
        self.state == State::Closed && self.kinds == Kinds::default()
    }

    /// Why it lets nothing through, in one line.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        let (why, by) = (self.reason.as_deref().unwrap_or("unknown"), self.by.as_deref().unwrap_or(FAILURES));
        match (self.state, self.held) {
            _ if self.admits() => None,
            (State::HalfOpen, _) => Some(format!("circuit breaker half open: one probe is under way (opened: {why})")),
            (_, true) => Some(format!("circuit breaker held open by {by}: {why}")),
            _ if by == FAILURES => Some(format!("circuit breaker open after {} failures: {why}", self.kinds.total())),
            _ => Some(format!("circuit breaker opened by {by}: {why}")),
        }
    }

    fn trip(&mut self, by: &str, why: &str, now_ms: i64) {
        self.trips = self.trips.saturating_add(1);
        let doublings = u32::try_from(self.trips - 1).unwrap_or(0).min(10);
        self.state = State::Open;
        self.since_ms = Some(now_ms);
        self.until_ms = Some(now_ms + OPEN_MS.saturating_mul(1 << doublings).min(MAX_OPEN_MS));
        self.probe = None;
        self.by = Some(by.to_owned());
        self.reason = Some(why.to_owned());
    }

    fn close(&mut self, now_ms: i64) {
        let since_ms = if self.state == State::Closed { self.since_ms } else { Some(now_ms) };
        *self = Self { since_ms, ..Self::default() };
    }

    fn hold_open(&mut self, now_ms: i64) {
        self.state = State::Open;
        self.since_ms = Some(now_ms);
        self.until_ms = None;
        self.probe = None;
    }
}
