//! The facts of a session: what decisions are made on, and which of them the log remembers.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};
use streams::wire::SessionState;
use uuid::Uuid;

use super::Sign;
use crate::Lane;
use crate::command::Attempt;

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
    /// Grows with every change of what is desired; the engine owns it.
    pub generation: i64,
    /// Its owner, once placed.
    pub controller_id: Option<String>,
    /// How its owner is reached.
    pub lane: Option<Lane>,
    /// Why it was given to this owner; for people.
    #[serde(default)]
    pub placement: Option<String>,
    /// Why it waits, or why the engine moved it; for people.
    pub reason: Option<String>,
    /// The last word of its owner; for people.
    pub message: Option<String>,
    /// The platform's own word for its state.
    pub phase: Option<String>,
    /// Where a browser reaches it.
    pub url: Option<String>,
    /// The platform's name of what runs it.
    pub pod_name: Option<String>,
    /// The open command.
    pub command_id: Option<Uuid>,
    /// Its verb, as `session.create`.
    pub command_verb: Option<String>,
    /// Its attempt, counted from 1; 0 while it was never sent.
    pub attempt: i32,
    /// Runs of the owner that began this attempt.
    pub starts: i32,
    /// The run that began it last.
    pub starter: Option<Uuid>,
    /// When the next attempt is due.
    pub next_attempt_ms: Option<i64>,
    /// That is its place in its owner's budget of retries.
    pub in_turn: bool,
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
    /// Fence: generation of the newest report that was applied.
    pub seen_generation: i64,
    /// Fence: its stream's epoch.
    pub seen_epoch: i64,
    /// Fence: its sequence in the stream.
    pub seen_seq: i64,
    /// Failed attempts of the open command, and recent failures of the session itself.
    pub failures: Vec<Attempt>,
    /// Shown as deleted, while its owner still owes the clean-up.
    pub debt: bool,
    /// It holds one of its owner's places ([`crate::room`]).
    #[serde(default)]
    pub has_room: bool,
    /// Idle time after which it is hibernated, in seconds.
    pub idle_timeout_s: Option<i64>,
    /// Longest time that it may run without a break, in seconds.
    pub max_duration_s: Option<i64>,
    /// Soft: when the open command's silence is looked into.
    pub deadline_ms: Option<i64>,
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

/// Names of the soft fields: neither logged nor folded.
pub const SOFT: [&str; 6] = ["deadline_ms", "idle_ms", "last_activity_ms", "last_sign", "connections", "connected_ms"];

impl Session {
    /// Whether a row that does not say whether it holds room does: one of a version that did not write it down.
    #[must_use]
    pub const fn holds_room_as(status: SessionState) -> bool {
        use SessionState as S;
        matches!(status, S::Pending | S::Creating | S::Running | S::Hibernating | S::Waking | S::Deleting)
    }

    /// Whether it is to start, and waits for a place: on its owner, or anywhere.
    #[must_use]
    pub fn awaits_room(&self) -> bool {
        let waits = self.command_id.is_some() && self.deadline_ms.is_none() && self.next_attempt_ms.is_none();
        waits && self.desired == Desired::Running && !self.has_room
    }
}

macro_rules! hard {
    ($($field:ident)*) => {
        impl Session {
            /// The facts that are logged and folded: all but the soft ones, by the names of their columns.
            #[must_use]
            pub fn hard(&self) -> Map<String, Value> {
                [$((stringify!($field), json!(self.$field))),*].map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
            }

            /// The same, to be written as JSON at once.
            #[must_use]
            pub fn hard_facts(&self) -> impl Serialize {
                HardFacts(self)
            }

            /// Those of them that are not as they were, with their new values. No more than these become JSON.
            #[must_use]
            pub fn difference(&self, before: &Self) -> Map<String, Value> {
                let mut changes = Map::new();
                $(if self.$field != before.$field {
                    changes.insert(stringify!($field).to_owned(), json!(self.$field));
                })*
                changes
            }
        }

        impl Serialize for HardFacts<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $(map.serialize_entry(stringify!($field), &self.0.$field)?;)*
                map.end()
            }
        }
    };
}

struct HardFacts<'a>(&'a Session);

hard! {
    session_id status desired generation controller_id lane placement reason message phase url pod_name
    command_id command_verb attempt starts starter next_attempt_ms in_turn run_ms expires_ms awake_until_ms extended_s
    extended_at_ms idle_warned_ms expiry_warned_ms seen_generation seen_epoch seen_seq failures debt has_room
    idle_timeout_s max_duration_s
}
