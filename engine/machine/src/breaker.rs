//! The circuit breaker of one controller: repeated failures stop new work, and single probes find out when it
//! may resume.
//!
//! Failures of starts since the last good start open it if they cannot be put down to one session or template
//! ([`Breaker::is_the_platforms`]): [`THRESHOLD`] distinct sessions of several templates, or of one that has
//! run here before; [`PLATFORM`] failures that the controller itself attributes to its platform; and
//! [`THRESHOLD`] silences. An error without a scope, as controllers of earlier versions report it, counts as
//! its session's. User errors and failures of deletes or hibernations never count (the caller does not report
//! them). Deletes pass an open breaker. Only the probe decides a half-open one, because commands that were sent
//! before say nothing about the present; it is a start of a session that has not failed here, if there is one.
//! Operators open, close and hold it; a held one stays as it is until it is released.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use streams::wire::Scope;
use uuid::Uuid;

use crate::command::DEADLINE_MS;

pub use failing::{Failing, Kind, Kinds, template_name};

mod failing;

/// Number of distinct failed sessions, and number of silences, that open the breaker.
pub const THRESHOLD: i32 = 5;
/// Number of failures attributed to the platform that open the breaker, whichever session they are of. The
/// first may be a blip that the next attempt survives; a second without a good start in between shows that it
/// is not.
pub const PLATFORM: i32 = 2;
/// Minimum number of templates of those sessions, if none of the templates has run here before.
pub const TEMPLATES: usize = 2;
/// Maximum number of failed sessions and applications to remember; the oldest is forgotten.
pub const FAILING: usize = 32;
/// Maximum number of templates to remember as having run here. Beyond it, a new version replaces an older one
/// of the same template, and other templates are not remembered.
pub const RAN: usize = 256;
/// How long a half-open breaker waits for a start that has not failed here before it accepts any as the probe,
/// in milliseconds.
pub const GRACE_MS: i64 = 10_000;
/// How long it stays open the first time, in milliseconds; doubles with each failed probe.
pub const OPEN_MS: i64 = 30_000;
/// Maximum time that it stays open before the next probe, in milliseconds.
pub const MAX_OPEN_MS: i64 = 600_000;
/// How long a probe may take beyond its command's deadline, whose error should come first, in milliseconds.
pub const PROBE_LATE_MS: i64 = 60_000;
/// How long the probe may take if its command has no deadline, in milliseconds.
pub const PROBE_MS: i64 = DEADLINE_MS + PROBE_LATE_MS;
/// The value of [`Breaker::by`] if no operator opened it.
pub const FAILURES: &str = "failures";

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Work flows.
    Closed,
    /// No new work.
    Open,
    /// One probe is let through and decides.
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

    /// Looks up a state by its spelling; an unknown one is closed.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "open" => Self::Open,
            "half_open" => Self::HalfOpen,
            _ => Self::Closed,
        }
    }
}

/// An operator's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Open now, and probe as usual.
    Open,
    /// Close now, and forget all failures.
    Close,
    /// Keep open until released.
    HoldOpen,
    /// Keep closed until released, whatever fails.
    HoldClosed,
    /// Return to normal; one that was held open is probed at once.
    Release,
}

/// The facts of a breaker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Breaker {
    /// Its state.
    pub state: State,
    /// Since when it has been in this state, in milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// When an open one may be probed, or a probe counts as failed, in milliseconds since the epoch.
    pub until_ms: Option<i64>,
    /// Failures since the last success, by kind.
    pub kinds: Kinds,
    /// How often it has opened since it was last closed.
    pub trips: i32,
    /// The command that serves as the probe.
    pub probe: Option<Uuid>,
    /// Whether an operator holds it in its state.
    pub held: bool,
    /// Who put it into its state: `failures`, or `operator:<name>`.
    pub by: Option<String>,
    /// The last error, or the operator's reason.
    pub reason: Option<String>,
    /// What has failed since the last good start, each once, the newest last; at most [`FAILING`].
    pub failing: Vec<Failing>,
    /// Templates that have run here, as in [`Failing::template`]; at most [`RAN`].
    pub ran: Vec<String>,
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
            failing: Vec::new(),
            ran: Vec::new(),
        }
    }
}

impl Breaker {
    /// Records a good start, with the template if it is a session's.
    pub fn succeeded(&mut self, command: Uuid, template: Option<&str>, now_ms: i64) {
        if let Some(template) = template {
            self.remember(template);
        }
        match self.state {
            State::Closed => {
                self.kinds = Kinds::default();
                self.failing.clear();
            }
            State::HalfOpen if self.probe == Some(command) => self.close(now_ms),
            State::HalfOpen | State::Open => {}
        }
    }

    /// Records a failure other than a user error: of the start of a session or application, or a silence.
    pub fn failed(&mut self, command: Option<Uuid>, whose: Option<Failing>, kind: Kind, why: &str, now_ms: i64) {
        self.kinds.count(kind);
        let own = whose.as_ref().is_some_and(|whose| matches!(whose.scope, Some(Scope::Session | Scope::Template)));
        if let Some(whose) = whose {
            self.note(whose);
        }
        let probe = command.is_some() && command == self.probe;
        let opens = match self.state {
            State::Closed => !self.held && self.is_the_platforms(),
            State::HalfOpen => (kind == Kind::Unreachable && command.is_none()) || (probe && !own),
            State::Open => false,
        };
        if opens {
            self.trip(FAILURES, why, now_ms);
        } else if let Some(command) = command.filter(|_| own) {
            self.abandoned(command, now_ms); // its own fault, which says nothing about the platform
        }
    }

    fn remember(&mut self, template: &str) {
        if self.ran.iter().any(|ran| ran == template) {
            return;
        }
        if self.ran.len() < RAN {
            self.ran.push(template.to_owned());
        } else if let Some(older) = self.ran.iter_mut().find(|ran| template_name(ran) == template_name(template)) {
            template.clone_into(older);
        }
    }

    /// Remembers what failed, once each, with the newest error.
    fn note(&mut self, whose: Failing) {
        self.failing.retain(|past| past.id != whose.id);
        self.failing.push(whose);
        let above = self.failing.len().saturating_sub(FAILING);
        self.failing.drain(..above);
    }

    /// Whether the failures since the last good start can no longer be put down to one session or one template.
    #[must_use]
    pub fn is_the_platforms(&self) -> bool {
        let enough = |count: usize| count >= THRESHOLD.unsigned_abs() as usize;
        let names: BTreeSet<&str> = self.failing.iter().map(Failing::template_name).collect();
        let of_one_that_ran = |ran: &String| {
            let theirs =
                self.failing.iter().filter(|past| past.template == *ran && past.scope != Some(Scope::Template));
            enough(theirs.count())
        };
        self.kinds.platform >= PLATFORM
            || self.kinds.unreachable >= THRESHOLD
            || enough(self.failing.len()) && (names.len() >= TEMPLATES || self.ran.iter().any(of_one_that_ran))
    }

    /// Records that a start with this deadline is sent; if the breaker is half open, it is the probe.
    pub fn sent(&mut self, command: Uuid, deadline_ms: Option<i64>, now_ms: i64) {
        if self.state == State::HalfOpen && self.probe.is_none() {
            self.probe = Some(command);
            self.until_ms = Some(deadline_ms.map_or(now_ms + PROBE_MS, |at| at + PROBE_LATE_MS));
        }
    }

    /// Records that a command ended in a way that says nothing about its controller; if it was the probe,
    /// another may be sent.
    pub fn abandoned(&mut self, command: Uuid, now_ms: i64) {
        if self.state == State::HalfOpen && self.probe == Some(command) {
            self.probe = None;
            self.until_ms = Some(now_ms + GRACE_MS);
        }
    }

    /// Lets time pass: an open breaker becomes half open when its time is up, first for starts that have not
    /// failed here, later for any; and an overdue probe has failed.
    pub fn tick(&mut self, now_ms: i64) {
        if self.held || self.until_ms.is_none_or(|until| until > now_ms) {
            return;
        }
        match self.state {
            State::Open => {
                self.state = State::HalfOpen;
                self.since_ms = Some(now_ms);
                self.until_ms = Some(now_ms + GRACE_MS);
            }
            State::HalfOpen if self.probe.is_none() => self.until_ms = None,
            State::HalfOpen => {
                let probe = self.probe;
                self.failed(probe, None, Kind::Timeout, "the probe was not answered", now_ms);
            }
            State::Closed => self.until_ms = None,
        }
    }

    /// Applies an operator's order.
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
            (self.by, self.reason) = (before.by, before.reason); // the first cause stays
        } else {
            self.by = Some(format!("operator:{by}"));
            self.reason = Some(why.to_owned());
        }
    }

    /// Whether the controller may get new work.
    #[must_use]
    pub const fn admits(&self) -> bool {
        match self.state {
            State::Closed => true,
            State::HalfOpen => self.probe.is_none(),
            State::Open => false,
        }
    }

    /// Whether the controller may get a start of this session or application.
    #[must_use]
    pub fn admits_start_of(&self, id: Uuid) -> bool {
        let anyone = self.state != State::HalfOpen || self.until_ms.is_none();
        self.admits() && (anyone || !self.failing.iter().any(|past| past.id == id))
    }

    /// Whether only a single command may be sent, as the probe.
    #[must_use]
    pub fn probes(&self) -> bool {
        self.state == State::HalfOpen
    }

    /// Whether no event of another command would change it.
    #[must_use]
    pub fn at_ease(&self) -> bool {
        self.state == State::Closed && self.kinds == Kinds::default()
    }

    /// Why it blocks, in one line.
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
        *self = Self { since_ms, ran: std::mem::take(&mut self.ran), ..Self::default() };
    }

    fn hold_open(&mut self, now_ms: i64) {
        self.state = State::Open;
        self.since_ms = Some(now_ms);
        self.until_ms = None;
        self.probe = None;
    }
}
