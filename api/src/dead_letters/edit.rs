//! Corrections of unreadable messages: the request, and how a letter shows them.

use std::collections::HashMap;

use engine::FieldError;
use engine::edit::NewEdit;
use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::operators::unsaid;
use crate::timestamp::Timestamp;

/// The correction of an unreadable message.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterEdit {
    /// The complete corrected payload.
    payload: HashMap<String, Value>,
    /// Reason, kept in the log.
    #[oai(validator(min_length = 1, max_length = 500, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    reason: String,
    /// Change nothing, and show the difference; default: false.
    dry_run: Option<bool>,
}

impl LetterEdit {
    /// Mistakes in its values.
    pub(super) fn mistakes(&self) -> Vec<FieldError> {
        unsaid(&self.reason)
    }

    /// The edit of a principal, and whether it is a dry run.
    pub(super) fn by(self, by: String) -> (NewEdit, bool) {
        let payload = Value::Object(self.payload.into_iter().collect());
        (NewEdit { payload, reason: self.reason, by }, self.dry_run.unwrap_or_default())
    }
}

/// The correction of a message.
#[derive(Debug, Object, Serialize)]
pub(super) struct Edited {
    /// Who corrected it.
    by: String,
    /// Time of the correction; null in the answer to a dry run.
    at: Option<Timestamp>,
    /// Reason.
    reason: String,
    /// The changes as a JSON Patch (RFC 6902) of the original, or of null if that is not JSON.
    diff: Value,
    /// Id of the corrected message, which names the letter in its header `Streamspace-Edited-Letter`.
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
