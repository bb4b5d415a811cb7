//! The results of decisions about commands: effects, failed attempts, refusals.

use serde::{Deserialize, Serialize};
use streams::subject::Verb;
use streams::wire::Failure;
use uuid::Uuid;

use super::DecisionKind;
use crate::session::Warning;

/// A failed attempt in the error history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, counted from 1.
    pub attempt: i32,
    /// When it failed, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Its error.
    pub error: Failure,
}

/// An attempt that failed without a report of its owner: its report could not be stored, or the command could
/// not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The command; `None` for the open one, if its owner never names commands.
    pub command: Option<Uuid>,
    /// Number of the attempt, counted from 1; `None` or 0 for the present one.
    pub attempt: Option<i32>,
    /// Its error.
    pub error: Failure,
}

/// What to do, in order, in the transaction that stores the new facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write a command to the outbox.
    Send {
        /// Id of the command.
        event_id: Uuid,
        /// Its verb.
        verb: Verb,
        /// False if it waits for a place or for its owner.
        ready: bool,
        /// Only for deletes.
        force: bool,
    },
    /// Put a command back into the outbox, with the present attempt.
    Redrive {
        /// Id of the command.
        event_id: Uuid,
    },
    /// A retry took a slot of the owner's retry budget.
    Retried,
    /// The owner has begun.
    Started {
        /// Id of the command.
        event_id: Uuid,
    },
    /// The command succeeded, or was superseded.
    Complete {
        /// Id of the command.
        event_id: Uuid,
        /// Superseded by a newer generation.
        superseded: bool,
    },
    /// The command failed: dead-letter it with its history.
    Fail {
        /// Id of the command.
        event_id: Uuid,
        /// `retries_exhausted`, `permanent` or `poison`.
        cause: &'static str,
        /// The last error.
        error: String,
        /// All attempts.
        attempts: Vec<Attempt>,
    },
    /// Log a decision of the engine, named for people and for folding.
    Decide(DecisionKind),
    /// Log a warning of a coming stop; only for sessions.
    Warn(Warning),
    /// Log the report as older than the fence.
    Superseded,
}

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is not possible in this state.
    #[error("{what} that is {state} cannot {asked}; possible now: {}", allowed.join(", "))]
    Illegal {
        /// `a session` or `an application`.
        what: &'static str,
        /// The present state.
        state: &'static str,
        /// The request.
        asked: &'static str,
        /// The requests that are possible.
        allowed: Vec<&'static str>,
    },
    /// A report from a controller that is not the owner.
    #[error("it belongs to controller {owner}, not to {reporter}")]
    NotOwner {
        /// The owner, or "nobody".
        owner: String,
        /// The reporting controller.
        reporter: String,
    },
    /// An extension beyond the limit of one run.
    #[error("cannot extend by {by_s} s: {left_s} s are left of the {total_s} s by which one run may be extended")]
    TooFar {
        /// Requested, in seconds.
        by_s: i64,
        /// Left for this run, in seconds.
        left_s: i64,
        /// Maximum for one run of this session, in seconds.
        total_s: i64,
    },
    /// A report that makes no sense.
    #[error("{0}")]
    Nonsense(String),
}
