//! Examples in the API document: every parameter, header, request and answer has one, and every refusal one per type.
//!
//! They are composed: a schema's own example, else those of its parts, else the sample of its name in the
//! vocabulary. A test fails if there is none, or if an example does not match its schema.

mod vocabulary;

use serde_json::{Map, Value, json};

use crate::idempotency;
use crate::problem::{Kind, Shown};
use poem_openapi::types::ToJSON;

/// Maximum nesting of schemas.
const DEPTH: usize = 12;

/// Adds examples, and the headers that every operation has.
pub(crate) fn complete(document: &mut Value) {
    let composer = Composer { schemas: document["components"]["schemas"].clone() };
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for operations in paths.values_mut().filter_map(Value::as_object_mut) {
        for (method, operation) in operations.iter_mut() {
            if matches!(method.as_str(), "post" | "patch" | "put" | "delete") {
                keyed(operation);
            }
            composer.operation(operation);
        }
    }
}

/// The headers of every operation that changes something.
fn keyed(operation: &mut Value) {
    let parameter = json!({
        "name": idempotency::HEADER, "in": "header", "required": false, "deprecated": false, "explode": true,
        "description": "A name for this request, such as a UUID. The same request with the same key within 24 hours has no second \
            effect and gets the first answer again; another request with it is refused.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
    });
    match operation.get_mut("parameters").and_then(Value::as_array_mut) {
        Some(parameters) => parameters.push(parameter),
        None => operation["parameters"] = json!([parameter]),
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if status.starts_with('2') {
            response["headers"][idempotency::REPLAYED] = json!({
                "description": "`true` if this is the answer that the same request got before.",
                "required": false, "schema": { "type": "string", "enum": ["true"] },
            });
        }
    }
}

struct Composer {
    schemas: Value,
}

impl Composer {
    fn operation(&self, operation: &mut Value) {
        let operation_id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            if let Some(example) = self.example(&parameter["schema"], &name, 0) {
                parameter["example"] = example;
            }
        }
        self.contents(&mut operation["requestBody"]);
        for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            self.refusals(response);
            self.contents(response);
            spell(response);
            for (name, header) in response["headers"].as_object_mut().into_iter().flatten() {
                if header.get("description").is_none() {
                    header["description"] = vocabulary::header(name).into();
                }
                if let Some(example) = self.example(&header["schema"], name, 0) {
                    header["example"] = example;
                }
            }
            prune(response);
        }
        prune(operation);
        for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            let content = response["content"].as_object_mut().into_iter().flat_map(Map::values_mut).next();
            let moment = vocabulary::moment(&operation_id, status);
            if let Some((content, moment)) = content.zip(moment) {
                content["example"] = merged(content["example"].take(), &moment);
            }
            prune(response);
        }
    }

    fn contents(&self, holder: &mut Value) {
        let contents = holder.get_mut("content").and_then(Value::as_object_mut);
        for (media_type, content) in contents.into_iter().flatten() {
            if content.get("example").is_some() || content.get("examples").is_some() {
                continue;
            }
            let yaml = media_type.ends_with("yaml");
            let example = if yaml { Some(vocabulary::manifest()) } else { self.example(&content["schema"], "", 0) };
            if let Some(example) = example {
                content["example"] = example;
            }
        }
    }

    /// One example for each problem type in a refusal's description.
    fn refusals(&self, response: &mut Value) {
        let named = response["description"].as_str().unwrap_or_default().to_owned();
        let Some(content) = response.get_mut("content").and_then(|all| all.get_mut("application/problem+json")) else {
            return;
        };
        let kinds = Kind::ALL.into_iter().filter(|kind| named.contains(&format!("`{}`", kind.name())));
        let examples: Map<String, Value> = kinds
            .map(|kind| {
                let value = Shown::from(kind.example()).to_json();
                (kind.name().to_owned(), json!({ "summary": kind.title(), "value": value }))
            })
            .collect();
        content["examples"] = Value::Object(examples);
    }

    fn example(&self, schema: &Value, name: &str, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.example(&self.schemas[name], name, depth + 1);
        }
        if let Some(example) = schema.get("example") {
            return Some(example.clone());
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let parts = parts.iter().filter_map(|part| self.example(part, name, depth + 1));
            return parts.reduce(|whole, part| merged(whole, &part));
        }
        if let Some(choices) = schema["enum"].as_array() {
            let known = vocabulary::sample(name).filter(|sample| choices.contains(sample));
            return known.or_else(|| choices.first().cloned());
        }
        match schema["type"].as_str() {
            Some("object") if schema.get("properties").is_some() => self.object(&schema["properties"], name, depth),
            Some("array") => vocabulary::sample(name)
                .filter(Value::is_array)
                .or_else(|| Some(json!([self.example(&schema["items"], name.trim_end_matches('s'), depth + 1)?]))),
            kind => vocabulary::sample(name).filter(|sample| fits(sample, kind)).or_else(|| by_format(schema)),
        }
    }

    fn object(&self, properties: &Value, owner: &str, depth: usize) -> Option<Value> {
        let example = |name: &String, schema| {
            let own = vocabulary::sample(&format!("{owner}.{name}"));
            own.or_else(|| self.example(schema, name, depth + 1)).map(|example| (name.clone(), example))
        };
        let each = properties.as_object()?.iter().map(|(name, schema)| example(name, schema));
        each.collect::<Option<Map<_, _>>>().map(Value::Object)
    }
}

fn fits(sample: &Value, kind: Option<&str>) -> bool {
    match kind {
        Some("string") => sample.is_string(),
        Some("integer") => sample.is_i64() || sample.is_u64(),
        Some("number") => sample.is_number(),
        Some("boolean") => sample.is_boolean(),
        Some("object") => sample.is_object(),
        _ => true,
    }
}

fn by_format(schema: &Value) -> Option<Value> {
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("uuid")) => Some(json!("0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17")),
        (Some("string"), Some("date-time")) => Some(json!("2026-01-01T08:00:09.000Z")),
        (Some("integer"), _) => Some(json!(1)),
        (Some("boolean"), _) => Some(json!(true)),
        (Some("object"), _) => Some(json!({})),
        _ => None,
    }
}

fn merged(mut whole: Value, part: &Value) -> Value {
    if let (Some(whole), Some(part)) = (whole.as_object_mut(), part.as_object()) {
        whole.extend(part.clone());
    }
    whole
}

/// The framework writes names of headers in capitals.
fn spell(response: &mut Value) {
    let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) else { return };
    for (name, header) in std::mem::take(headers) {
        let word =
            |word: &str| word.get(..1).map_or(String::new(), |first| first.to_owned() + &word[1..].to_lowercase());
        let name = if name == "ETAG" { "ETag".to_owned() } else { name };
        let shout = name.chars().all(|c| c.is_ascii_uppercase() || c == '-');
        let name = if shout { name.split('-').map(word).collect::<Vec<_>>().join("-") } else { name };
        headers.insert(name, header);
    }
}

/// Indexing into a value leaves a null behind if there was nothing.
fn prune(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
}
