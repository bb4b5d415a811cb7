//! What may be changed of a session without asking anything of its life: tags, metadata, and how long it may be idle.
//!
//! The request is a JSON merge patch (RFC 7396). Its rules are checked before the writer sees it; what the metadata becomes is
//! known only there, where nobody else can change it meanwhile.

use serde_json::{Map, Value};

use crate::request::{FieldError, Invalid, Mistakes};

/// A request as it came. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AmendSession {
    /// All tags from now on.
    pub tags: Option<Vec<String>>,
    /// A merge patch of the metadata; null empties it.
    pub metadata: Option<Value>,
    /// How long it may be idle; `Some(None)`: as long as it likes.
    pub idle_timeout: Option<Option<String>>,
}

/// The same, checked.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // as above
pub struct Amendment {
    pub tags: Option<Vec<String>>,
    pub metadata: Option<Value>,
    pub idle_timeout_s: Option<Option<i64>>,
}

/// Checks what can be known without the session.
///
/// # Errors
/// Every mistake.
pub fn check(request: AmendSession) -> Result<Amendment, Invalid> {
    let mut mistakes = Mistakes::default();
    mistakes.tags(request.tags.as_deref().unwrap_or_default());
    mistakes.metadata(request.metadata.as_ref().unwrap_or(&Value::Null));
    let timeout = request.idle_timeout.map(|text| mistakes.duration("idle_timeout", text.as_deref()));
    if !mistakes.0.is_empty() {
        return Err(Invalid(mistakes.0));
    }
    Ok(Amendment { tags: request.tags, metadata: request.metadata, idle_timeout_s: timeout })
}

/// Metadata after a merge patch; an error where it becomes too large.
pub(crate) fn merge(metadata: &Value, patch: Option<&Value>) -> Result<Value, FieldError> {
    let Some(patch) = patch else { return Ok(metadata.clone()) };
    let mut merged = metadata.clone();
    apply(&mut merged, patch);
    if merged.is_null() {
        merged = Value::Object(Map::new());
    }
    let mut mistakes = Mistakes::default();
    mistakes.metadata(&merged);
    mistakes.0.pop().map_or(Ok(merged), Err)
}

/// RFC 7396, section 2.
fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in patch {
        let Some(target) = target.as_object_mut() else { return };
        if value.is_null() {
            target.remove(name);
        } else {
            apply(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::apply;

    #[test]
    fn a_merge_patch_does_what_the_examples_of_its_standard_say() {
        for (target, patch, merged) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": { "b": "c" } }), json!({ "a": { "b": "d", "c": null } }), json!({ "a": { "b": "d" } })),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
            (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
            (json!(["a"]), json!({ "a": "b" }), json!({ "a": "b" })),
            (json!({ "a": "foo" }), json!(null), json!(null)),
        ] {
            let mut is = target.clone();
            apply(&mut is, &patch);
            assert_eq!(is, merged, "{target} patched with {patch}");
        }
    }
}
