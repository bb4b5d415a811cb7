//! What is parked, and how an operator deals with it.

use serde_json::Value;
use uuid::Uuid;

use super::Commanded;
use crate::store::canary::Sent;

/// Something to be parked.
#[derive(Debug, Clone)]
pub struct NewDeadLetter {
    /// Deterministic identity of the cause, so that parking twice is parking once.
    pub source: String,
    /// The event, where it could be read.
    pub event_id: Option<Uuid>,
    /// Where it was going.
    pub subject: String,
    /// A stable word: `undecodable`, `illegal`, `retries_exhausted`, `permanent`, `poison`, ...
    pub reason: String,
    /// The last error.
    pub error: String,
    /// The exact bytes.
    pub payload: Vec<u8>,
    /// As name and value pairs.
    pub headers: Value,
    /// The error history.
    pub attempts: Value,
    /// What it was about, as in `event_log.entity`.
    pub entity: Option<String>,
    /// Who.
    pub controller_id: Option<String>,
    /// Where.
    pub platform: Option<String>,
    /// Whether the dead-letter stream has it already.
    pub copied: bool,
}

/// How a dead letter is replayed.
#[derive(Debug, Clone)]
pub enum Replay {
    /// A failed command: what is desired of whatever it was for is tried once more.
    Ask {
        /// Whose command it was.
        of: Commanded,
        /// The generation that it belonged to.
        generation: i64,
    },
    /// A message that was published again.
    Sent {
        /// As what.
        note: String,
        /// Where it went; `None` where it did not.
        sent: Option<Sent>,
    },
}

/// A correction of a dead letter.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Why.
    pub reason: String,
    /// What it changes, as a JSON Patch (RFC 6902).
    pub diff: Value,
    /// The corrected message.
    pub message_id: String,
    /// As what it was published.
    pub note: String,
}

impl Edit {
    /// As the letter and its log keep it; without a time while it was not made.
    #[must_use]
    pub fn shown(&self, by: &str, at_ms: Option<i64>) -> Value {
        serde_json::json!({ "by": by, "at_ms": at_ms, "reason": self.reason, "diff": self.diff,
            "message_id": self.message_id })
    }
}
