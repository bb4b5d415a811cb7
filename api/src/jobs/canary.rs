//! The canary of a job, as it is shown.

use engine::store::canary::{Canary, Sent, Try};
use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// The items that are processed first.
#[derive(Debug, Object, Serialize)]
pub(super) struct JobCanary {
    /// Number of items.
    size: u64,
    /// `trying`, `waiting` (until all have ended), `passed` or `failed`.
    stage: String,
    /// Items that were processed.
    tries: Vec<CanaryTry>,
}

/// A canary item.
#[derive(Debug, Object, Serialize)]
struct CanaryTry {
    /// The dead letter.
    letter_id: Uuid,
    /// When it was processed.
    at: Timestamp,
    /// The command that it became, if any.
    command_id: Option<Uuid>,
    /// `completed`, `failed`, or its progress: `sent`, `pending`, `published` or `processing`.
    outcome: String,
    /// Why it failed.
    error: Option<String>,
}

impl From<Canary> for JobCanary {
    fn from(canary: Canary) -> Self {
        let tries = canary.tries.into_iter().map(Into::into).collect();
        Self { size: canary.size, stage: canary.stage.as_str().to_owned(), tries }
    }
}

impl From<Try> for CanaryTry {
    fn from(one: Try) -> Self {
        let command_id = match one.sent {
            Sent::Command(id) => Some(id),
            Sent::Message { .. } => None,
        };
        let at = Timestamp::from_ms(one.at_ms);
        Self { letter_id: one.letter, at, command_id, outcome: one.outcome, error: one.error }
    }
}
