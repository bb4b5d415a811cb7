//! Converts the framework's document (OpenAPI 3.0) to OpenAPI 3.1, and adds what the framework leaves out.
//!
//! A generated client takes the document literally. So nullable fields are marked as such, a reference with a
//! description stays a reference (3.0 needs an anonymous schema around it, which generators turn into a second
//! type), and objects that refuse unknown fields are closed.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::schema;

/// The document in OpenAPI 3.1.
pub(crate) fn modern(mut document: Value) -> Value {
    document["openapi"] = json!("3.1.0");
    let asked = bodies(&document);
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        for (name, schema) in schemas {
            if asked.contains(name) && schema["type"] == "object" && schema.get("additionalProperties").is_none() {
                schema["additionalProperties"] = json!(false);
            }
        }
    }
    walk(&mut document);
    document
}

fn walk(value: &mut Value) {
    match value {
        Value::Object(object) => {
            // an example is data, whatever it looks like
            let inner =
                object.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "example" | "examples" | "default"));
            inner.for_each(|(_, value)| walk(value));
            described_reference(object);
            text_without_nul(object);
            optional_is_nullable(object);
            whole_bounds(object);
        }
        Value::Array(items) => items.iter_mut().for_each(walk),
        _ => {}
    }
}

/// Turns `allOf: [reference, description]` into the reference with a description beside it.
fn described_reference(schema: &mut Map<String, Value>) {
    let Some(reference) = schema.get("allOf").and_then(|parts| parts.get(0)?.get("$ref")).cloned() else { return };
    let alone = schema.get("allOf").and_then(Value::as_array).is_some_and(|parts| {
        parts
            .iter()
            .skip(1)
            .all(|part| part.as_object().is_some_and(|part| part.keys().all(|key| key == "description")))
    });
    if alone {
        schema.remove("allOf");
        schema.insert("$ref".into(), reference);
    }
}

/// Text in a path or a query is any text that both databases can compare; the gate refuses the rest.
fn text_without_nul(parameter: &mut Map<String, Value>) {
    if !matches!(parameter.get("in").and_then(Value::as_str), Some("path" | "query")) {
        return;
    }
    let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) else { return };
    let free = !["enum", "format", "pattern"].iter().any(|rule| schema.contains_key(*rule));
    if free && schema.get("type").is_some_and(|kind| kind == "string") {
        schema.insert("pattern".into(), json!(r"^[^\x00]*$"));
    }
}

/// A property that may be absent may also be null, both in requests and in answers.
fn optional_is_nullable(schema: &mut Map<String, Value>) {
    let required: BTreeSet<String> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().map(text).collect();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties {
        if !required.contains(name) {
            nullable(property);
        }
    }
}

fn nullable(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(reference) = object.remove("$ref") {
        object.insert("anyOf".into(), json!([{ "$ref": reference }, { "type": "null" }]));
    } else if let Some(kind) = object.get("type").filter(|kind| kind.is_string()).cloned() {
        object.insert("type".into(), json!([kind, "null"]));
    } else if let Some(choices) = object.get_mut("anyOf").and_then(Value::as_array_mut) {
        let null = json!({ "type": "null" });
        if !choices.contains(&null) {
            choices.push(null);
        }
    }
}

/// In 3.1 `format` is only informative, so the bounds of integers are spelled out.
fn whole_bounds(schema: &mut Map<String, Value>) {
    let bounds = schema.get("format").and_then(Value::as_str).and_then(schema::bounds);
    let Some((least, most)) = bounds else { return };
    let written = |bound: i128| i64::try_from(bound).map_or_else(|_| json!(bound as u64), |bound| json!(bound));
    let bounds = (written(least), written(most));
    // the framework writes every bound as a fraction
    for (name, bound) in [("minimum", bounds.0), ("maximum", bounds.1)] {
        let given = schema.get(name).and_then(Value::as_f64).map(|given| json!(given as i64));
        schema.insert(name.into(), given.unwrap_or(bound));
    }
}

/// The schemas of request bodies, with everything that they refer to.
fn bodies(document: &Value) -> BTreeSet<String> {
    let operations = document["paths"].as_object().into_iter().flatten().flat_map(|(_, path)| path.as_object());
    let mut waiting: Vec<String> =
        operations.flatten().flat_map(|(_, operation)| references(&operation["requestBody"])).collect();
    let mut found = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if found.insert(name.clone()) {
            waiting.extend(references(&document["components"]["schemas"][&name]));
        }
    }
    found
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) => {
            let own =
                object.get("$ref").map(|reference| text(reference).rsplit('/').next().unwrap_or_default().to_owned());
            own.into_iter().chain(object.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_left_out_may_be_null_and_a_described_reference_stays_one() {
        let session = json!({ "type": "object", "required": ["id"], "properties": {
            "id": { "type": "string" },
            "reason": { "type": "string" },
            "resources": { "allOf": [{ "$ref": "#/components/schemas/R" }, { "description": "D" }], "description": "D" },
            "since": { "anyOf": [{ "type": "string" }, { "type": "integer" }] },
        }});
        let known = modern(json!({ "components": { "schemas": { "S": session } } }));
        let properties = &known["components"]["schemas"]["S"]["properties"];
        assert_eq!(properties["id"]["type"], "string");
        assert_eq!(properties["reason"]["type"], json!(["string", "null"]));
        let either = json!([{ "$ref": "#/components/schemas/R" }, { "type": "null" }]);
        assert_eq!(properties["resources"], json!({ "anyOf": either, "description": "D" }));
        let since = json!([{ "type": "string" }, { "type": "integer" }, { "type": "null" }]);
        assert_eq!(properties["since"]["anyOf"], since);
    }
}
