//! Corrections of what could not be read: as they are asked for, and as a letter shows them.

use std::collections::HashMap;

use engine::FieldError;
use engine::edit::NewEdit;
use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::operators::unsaid;
use crate::timestamp::Timestamp;

/// A correction of a message that could not be read.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterEdit {
    /// What it should have said: the whole payload.
    payload: HashMap<String, Value>,
    /// Why, for whoever asks later.
    #[oai(validator(min_length = 1, max_length = 500, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    reason: String,
    /// Change nothing, and show the difference; no unless given.
    dry_run: Option<bool>,
}

impl LetterEdit {
    /// What is wrong with its values.
    pub(super) fn mistakes(&self) -> Vec<FieldError> {
        unsaid(&self.reason)
    }

    /// The edit that somebody asks for, and whether only to try.
    pub(super) fn by(self, by: String) -> (NewEdit, bool) {
        let payload = Value::Object(self.payload.into_iter().collect());
        (NewEdit { payload, reason: self.reason, by }, self.dry_run.unwrap_or_default())
    }
}

/// How a message was corrected.
#[derive(Debug, Object, Serialize)]
pub(super) struct Edited {
    /// By whom.
    by: String,
    /// When; null in the answer to a dry run.
    at: Option<Timestamp>,
    /// Why.
    reason: String,
    /// What was changed, as a JSON Patch (RFC 6902) of what came, or of null where that is not JSON.
    diff: Value,
    /// The id of the corrected message, which names the letter in its header `Streamspace-Edited-Letter`.
    message_id: String,
}

impl From<Value> for Edited {
    fn from(kept: Value) -> Self {
        let text = |name: &str| kept[name].as_str().unwrap_or_default().to_owned();
        Self {
            by: text("by"),
            at: kept["at_ms"].as_i64().map(Timestamp::from_ms),
            reason: text("reason"),
            diff: kept["diff"].clone(),
            message_id: text("message_id"),
        }
    }
}
