//! What is parked, and how an operator deals with it.

use serde_json::Value;
use sha2::{Digest, Sha256};
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
    /// How often it had come when it was parked.
    pub count: i64,
    /// Whether the dead-letter stream has it already.
    pub copied: bool,
    /// Whether an engine parked it, so that its bytes were on its subject before.
    pub verified: bool,
}

impl NewDeadLetter {
    /// As the table can hold it, whatever is in it: texts are cut with a mark where its columns end, and NUL is left out.
    #[must_use]
    pub(in crate::writer) fn bounded(self) -> Self {
        let optional = |text: Option<String>, most| text.map(|text| bounded(&text, most));
        Self {
            source: bounded_source(&self.source),
            subject: bounded(&self.subject, SUBJECT),
            reason: bounded(&self.reason, REASON),
            error: bounded(&self.error, ERROR),
            headers: without_nul(self.headers),
            attempts: without_nul(self.attempts),
            entity: optional(self.entity, ENTITY),
            controller_id: optional(self.controller_id, NAME),
            platform: optional(self.platform, PLATFORM),
            ..self
        }
    }
}

/// Characters of each column of the table; errors have no bound there, and this one here.
const SUBJECT: usize = 255;
const REASON: usize = 60;
const ERROR: usize = 8_192;
const ENTITY: usize = 160;
const NAME: usize = 255;
const PLATFORM: usize = 50;
const SOURCE: usize = 255;

fn bounded(text: &str, most: usize) -> String {
    let text = text.replace('\0', "");
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The name of a cause, as the table can hold it: of two long ones that differ anywhere each is its own.
#[must_use]
pub(crate) fn bounded_source(source: &str) -> String {
    let plain = source.replace('\0', "");
    if plain.chars().count() <= SOURCE {
        return plain;
    }
    let digest: String = Sha256::digest(source).iter().map(|byte| format!("{byte:02x}")).collect();
    plain.chars().take(SOURCE - digest.len() - 1).chain(['~']).chain(digest.chars()).collect()
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "")),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name.replace('\0', ""), without_nul(value))).collect()
        }
        other => other,
    }
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

/// An operator replays a dead letter.
#[derive(Debug, Clone)]
pub struct ReplayLetter {
    /// The letter.
    pub letter: Uuid,
    /// How it is replayed.
    pub how: Replay,
    /// The operator.
    pub by: String,
}

/// An operator asks what a replay would do.
#[derive(Debug, Clone)]
pub struct TryReplay {
    /// The letter.
    pub letter: Uuid,
    /// How it would be replayed.
    pub how: Replay,
}

/// An operator has corrected a message that could not be read, and it was published.
#[derive(Debug, Clone)]
pub struct EditLetter {
    /// The letter.
    pub letter: Uuid,
    /// The correction.
    pub edit: Edit,
    /// The operator.
    pub by: String,
}

/// An operator closes a dead letter.
#[derive(Debug, Clone)]
pub struct DiscardLetter {
    /// The letter.
    pub letter: Uuid,
    /// The operator's reason.
    pub why: String,
    /// The operator.
    pub by: String,
}
