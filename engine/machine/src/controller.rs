//! The health of a controller, derived from its heartbeats, its silences, its failures and its operators.

use streams::wire::ControllerHealth;
use uuid::Uuid;

use crate::breaker::{Breaker, Failing, Kind, Order, State};

/// Number of heartbeat intervals without a heartbeat after which a controller is unhealthy.
pub const MISSED_HEARTBEATS: i64 = 3;
/// Prefix for the reason that a controller gives for being unhealthy.
const OWN_WORD: &str = "says of itself: ";
/// The reason of a silent controller.
const SILENT: &str = "no heartbeat";

/// The facts that health depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Shown to people, and used by placement.
    pub status: ControllerHealth,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// Its breaker.
    pub breaker: Breaker,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A heartbeat, with its own view of its health.
    Heartbeat(ControllerHealth),
    /// No heartbeat for too long while the engine was listening.
    Silent,
    /// A good start.
    Success {
        /// Its command.
        command: Uuid,
        /// The template of the session, as in [`Failing::template`].
        template: Option<String>,
    },
    /// A start failed, and not because of a user error.
    Failure {
        /// Its command.
        command: Uuid,
        /// What was to be started.
        whose: Failing,
        /// Kind of the failure.
        kind: Kind,
        /// Its message.
        why: String,
    },
    /// A start is sent.
    Sent {
        /// Its command.
        command: Uuid,
        /// Its deadline, in milliseconds since the epoch.
        deadline_ms: Option<i64>,
    },
    /// A command ended in a way that says nothing about the controller.
    Abandoned(Uuid),
    /// Time has passed.
    Tick,
    /// An operator's order for the breaker.
    Ordered {
        /// The order.
        order: Order,
        /// The operator.
        by: String,
        /// The reason.
        why: String,
    },
}

/// The new facts after an event.
#[must_use]
pub fn decide(controller: &Controller, event: &Event, now_ms: i64) -> Controller {
    let mut next = controller.clone();
    let breaker = &mut next.breaker;
    match event {
        Event::Heartbeat(own) => {
            next.status = *own;
            next.reason = (*own != ControllerHealth::Healthy).then(|| format!("{OWN_WORD}{}", own.as_str()));
        }
        Event::Silent if controller.reason.as_deref() == Some(SILENT) => {} // another engine recorded it first
        Event::Silent => {
            next.status = ControllerHealth::Unhealthy;
            next.reason = Some(SILENT.into());
            breaker.failed(None, None, Kind::Unreachable, SILENT, now_ms);
        }
        Event::Success { command, template } => breaker.succeeded(*command, template.as_deref(), now_ms),
        Event::Failure { command, whose, kind, why } => {
            breaker.failed(Some(*command), Some(whose.clone()), *kind, why, now_ms);
        }
        Event::Sent { command, deadline_ms } => breaker.sent(*command, *deadline_ms, now_ms),
        Event::Abandoned(command) => breaker.abandoned(*command, now_ms),
        Event::Tick => breaker.tick(now_ms),
        Event::Ordered { order, by, why } => breaker.ordered(*order, by, why, now_ms),
    }
    next
}

impl Controller {
    /// Whether it may get new work.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.status == ControllerHealth::Healthy && self.breaker.admits()
    }

    /// Whether its last heartbeat announced that it stops.
    #[must_use]
    pub fn left(&self) -> bool {
        self.status != ControllerHealth::Healthy && self.reason.as_deref().is_some_and(|why| why.starts_with(OWN_WORD))
    }
}

impl Event {
    /// The name of the decision in the log.
    #[must_use]
    pub fn name(&self, before: &Breaker, after: &Breaker) -> &'static str {
        match self {
            Self::Heartbeat(_) => "heartbeat",
            Self::Silent => "heartbeats_missed",
            Self::Ordered { order: Order::HoldOpen | Order::HoldClosed, .. } => "breaker_held",
            Self::Ordered { order: Order::Release, .. } => "breaker_released",
            _ if before.state != after.state => match after.state {
                State::Closed => "breaker_closed",
                State::Open => "breaker_opened",
                State::HalfOpen => "breaker_half_open",
            },
            Self::Success { .. } => "work_succeeded",
            Self::Failure { .. } => "work_failed",
            Self::Sent { .. } => "breaker_probe_sent",
            Self::Abandoned(_) => "breaker_probe_abandoned",
            Self::Tick => "breaker_tick",
            Self::Ordered { .. } => "breaker_ordered",
        }
    }
}

/// Whether a silence is long enough to count. Only time during which the engine itself was connected counts.
#[must_use]
pub fn is_silent(now_ms: i64, last_heartbeat_ms: i64, listening_since_ms: i64, interval_s: i64) -> bool {
    now_ms - last_heartbeat_ms.max(listening_since_ms) > MISSED_HEARTBEATS * interval_s.max(1) * 1000
}
