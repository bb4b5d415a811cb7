//! What decisions about commands come to: effects, failed attempts, refusals.

use serde::{Deserialize, Serialize};
use streams::subject::Verb;
use streams::wire::Failure;
use uuid::Uuid;

use crate::session::Warning;

/// One failed attempt, as the error history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which attempt, counted from 1.
    pub attempt: i32,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Why.
    pub error: Failure,
}

/// An attempt that came to nothing though its owner did not say so: its report could not be stored, or the command not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The command; `None`: whichever is open, where its owner never names one.
    pub command: Option<Uuid>,
    /// Which attempt, counted from 1; `None` or 0: the one that is under way.
    pub attempt: Option<i32>,
    /// Why.
    pub error: Failure,
}

/// What is to be done, in order, in the transaction that stores the new facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write a command to the outbox.
    Send {
        /// Its identity.
        event_id: Uuid,
        /// What.
        verb: Verb,
        /// `false`: it waits for a place or for its owner.
        ready: bool,
        /// For deletes.
        force: bool,
    },
    /// Put a command that is in the outbox back to be published, with the present attempt.
    Redrive {
        /// Which.
        event_id: Uuid,
    },
    /// A retry took its place in the owner's budget.
    Retried,
    /// The owner began.
    Started {
        /// Which.
        event_id: Uuid,
    },
    /// The command ended well, or was overtaken (`superseded`).
    Complete {
        /// Which.
        event_id: Uuid,
        /// Overtaken by a newer generation.
        superseded: bool,
    },
    /// The command ended badly: dead-letter it with its history.
    Fail {
        /// Which.
        event_id: Uuid,
        /// `retries_exhausted`, `permanent` or `poison`.
        cause: &'static str,
        /// The last error.
        error: String,
        /// Every attempt.
        attempts: Vec<Attempt>,
    },
    /// Write down a decision of the engine's own, named for people and for folding.
    Decide(&'static str),
    /// Write down a warning of a coming stop; sessions have them.
    Warn(Warning),
    /// The report is older than what was applied: log it so.
    Superseded,
}

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What was asked is not possible in this state.
    #[error("{what} that is {state} cannot {asked}; possible now: {}", allowed.join(", "))]
    Illegal {
        /// `a session` or `an application`.
        what: &'static str,
        /// Where it stands.
        state: &'static str,
        /// What was asked.
        asked: &'static str,
        /// What may be asked.
        allowed: Vec<&'static str>,
    },
    /// A report by someone who does not own it.
    #[error("it belongs to controller {owner}, not to {reporter}")]
    NotOwner {
        /// The owner, or "nobody".
        owner: String,
        /// Who reported.
        reporter: String,
    },
    /// More extension than one run of a session gets.
    #[error("{by_s} s more are asked for, and {left_s} s of the {total_s} s that one run may be extended by are left")]
    TooFar {
        /// Asked for, in seconds.
        by_s: i64,
        /// Left for this run, in seconds.
        left_s: i64,
        /// What a run of this session may be extended by, in seconds.
        total_s: i64,
    },
    /// A report that makes no sense.
    #[error("{0}")]
    Nonsense(String),
}
