//! Recognises documents that are not template manifests by their head, before any of their fields is reported
//! as missing.

use serde_json::Value;

use super::template::{API_VERSION, KIND, ManifestError};

/// The mistake in the head of the first document that has one.
pub(super) fn of_yaml(yaml: &str) -> Option<ManifestError> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).ok()?;
    documents.iter().find_map(mistake)
}

/// The mistake in the head of a document: its shape, `apiVersion` or `kind`.
pub(super) fn mistake(document: &Value) -> Option<ManifestError> {
    let Value::Object(fields) = document else {
        let what = match document {
            Value::Null => "nothing",
            Value::Array(_) => "a list: write each template as a document of its own, with --- between",
            _ => "a single value",
        };
        return refuse("manifest", format!("must be a mapping with apiVersion, kind, metadata and spec, not {what}"));
    };
    for (field, wanted) in [("kind", KIND), ("apiVersion", API_VERSION)] {
        match fields.get(field) {
            Some(Value::String(text)) if text == wanted => {}
            Some(other) => return refuse(field, format!("must be {wanted:?}, not {other}")),
            None => return refuse(field, format!("is missing: write {field}: {wanted}")),
        }
    }
    ["metadata", "spec"].into_iter().find_map(|field| match fields.get(field) {
        Some(Value::Object(_)) => None,
        Some(_) => refuse(field, "must be a mapping"),
        None => refuse(field, "is missing"),
    })
}

fn refuse(field: &str, rule: impl Into<String>) -> Option<ManifestError> {
    Some(ManifestError::Field { field: field.into(), rule: rule.into() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the answer
mod tests {
    use crate::wire::Manifest;

    #[test]
    fn a_document_of_another_kind_is_named_as_that_and_not_by_what_it_lacks() {
        let good = "apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: {name: a}\nspec: {displayName: A}\n";
        assert!(Manifest::parse_all(good).is_ok());
        for (yaml, field, word) in [
            ("apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n", "kind", "not \"ConfigMap\""),
            ("apiVersion: stream.space/v2\nkind: Template\n", "apiVersion", "stream.space/v2"),
            ("kind: Template\nmetadata: {name: a}\nspec: {displayName: A}\n", "apiVersion", "is missing"),
            ("metadata: {name: a}\n", "kind", "write kind: Template"),
            ("kind: 5\n", "kind", "not 5"),
            ("- kind: Template\n", "manifest", "a list"),
            ("just text\n", "manifest", "a single value"),
            ("apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: [a]\nspec: {}\n", "metadata", "a mapping"),
            ("apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: {name: a}\n", "spec", "is missing"),
        ] {
            let why = Manifest::parse_all(yaml).unwrap_err().to_string();
            assert!(why.starts_with(field) && why.contains(word), "{yaml}: {why}");
            let json: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
            assert_eq!(Manifest::from_json(json).unwrap_err().to_string(), why);
        }
        let json = serde_json::json!({ "apiVersion": "stream.space/v1alpha1", "kind": "Template",
            "metadata": { "name": "a" }, "spec": { "displayName": 5 } });
        let why = Manifest::from_json(json).unwrap_err().to_string();
        assert!(why.contains("displayName") || why.contains("string"), "{why}");
    }
}
