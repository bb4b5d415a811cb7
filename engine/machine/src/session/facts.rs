//! The facts of a session: what decisions are made on, and which of them the log remembers.

use serde::{Deserialize, Serialize};
use streams::wire::SessionState;
use uuid::Uuid;

use super::Sign;
use crate::command::CommandState;
use crate::facts::facts;

/// What is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names are the contract's
pub enum Desired {
    Running,
    Hibernated,
    Deleted,
}

impl Desired {
    /// The spelling in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.goal().as_str()
    }

    /// The desired state of a spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Running, Self::Hibernated, Self::Deleted].into_iter().find(|d| d.as_str() == name)
    }

    /// The state in which it holds.
    #[must_use]
    pub const fn goal(self) -> SessionState {
        match self {
            Self::Running => SessionState::Running,
            Self::Hibernated => SessionState::Hibernated,
            Self::Deleted => SessionState::Deleted,
        }
    }
}

/// The facts of a session that decisions are made on. Field names are the columns of `sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Identity.
    pub session_id: Uuid,
    /// Where it stands.
    pub status: SessionState,
    /// Where it is to be.
    pub desired: Desired,
    /// Its open command, and its owner.
    #[serde(flatten)]
    pub command: CommandState,
    /// Why it was given to this owner; for people.
    #[serde(default)]
    pub placement: Option<String>,
    /// The platform's own word for its state.
    pub phase: Option<String>,
    /// Where a browser reaches it.
    pub url: Option<String>,
    /// The platform's name of what runs it.
    pub pod_name: Option<String>,
    /// When its present run began.
    pub run_ms: Option<i64>,
    /// When the maximum duration ends.
    pub expires_ms: Option<i64>,
    /// It was extended: idleness does not hibernate it before.
    pub awake_until_ms: Option<i64>,
    /// What the extensions of this run add up to, in seconds.
    pub extended_s: i64,
    /// When it was extended last.
    pub extended_at_ms: Option<i64>,
    /// The idle stop that was warned of, by its time: use moves the stop, and so asks for another warning.
    pub idle_warned_ms: Option<i64>,
    /// The end of its duration that was warned of, by its time.
    pub expiry_warned_ms: Option<i64>,
    /// Shown as deleted, while its owner still owes the clean-up.
    pub debt: bool,
    /// It holds one of its owner's places ([`crate::room`]).
    #[serde(default)]
    pub has_room: bool,
    /// Idle time after which it is hibernated, in seconds.
    pub idle_timeout_s: Option<i64>,
    /// Longest time that it may run without a break, in seconds.
    pub max_duration_s: Option<i64>,
    /// Soft: when idleness, or a warning, is looked into; follows from the other facts.
    pub idle_ms: Option<i64>,
    /// Soft: last sign of use.
    pub last_activity_ms: i64,
    /// Soft: what the last sign of use was.
    pub last_sign: Sign,
    /// Soft: open connections, where the owner counts them.
    pub connections: Option<i32>,
    /// Soft: since when there are any.
    pub connected_ms: Option<i64>,
}

facts!(Session:
    hard [
        session_id, status, desired, placement, phase, url, pod_name, run_ms, expires_ms, awake_until_ms, extended_s,
        extended_at_ms, idle_warned_ms, expiry_warned_ms, debt, has_room, idle_timeout_s, max_duration_s,
    ],
    message "message",
    soft [idle_ms, last_activity_ms, last_sign, connections, connected_ms]
);

impl Session {
    /// A session that is to run, and of which nothing exists yet.
    pub(super) const fn new(session_id: Uuid, now_ms: i64) -> Self {
        Self {
            session_id,
            status: SessionState::Pending,
            desired: Desired::Running,
            command: CommandState::new(1),
            placement: None,
            phase: None,
            url: None,
            pod_name: None,
            run_ms: None,
            expires_ms: None,
            awake_until_ms: None,
            extended_s: 0,
            extended_at_ms: None,
            idle_warned_ms: None,
            expiry_warned_ms: None,
            debt: false,
            has_room: false,
            idle_timeout_s: None,
            max_duration_s: None,
            idle_ms: None,
            last_activity_ms: now_ms,
            last_sign: Sign::Started,
            connections: None,
            connected_ms: None,
        }
    }

    /// Whether a row that does not say whether it holds room does: one of a version that did not write it down.
    #[must_use]
    pub const fn holds_room_as(status: SessionState) -> bool {
        use SessionState as S;
        matches!(status, S::Pending | S::Creating | S::Running | S::Hibernating | S::Waking | S::Deleting)
    }

    /// Whether it is to start, and waits for a place: on its owner, or anywhere.
    #[must_use]
    pub fn awaits_room(&self) -> bool {
        self.command.waits() && self.desired == Desired::Running && !self.has_room
    }
}
