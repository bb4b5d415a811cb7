//! Names everything that is wrong with a JSON body, by the schema that the API document shows.
//!
//! All mistakes of a body are named at once, and what the document says is what is checked.

use std::sync::LazyLock;

use engine::FieldError;
use poem_openapi::OpenApi;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde_json::{Map, Value};

use crate::document::Apis;

/// The schemas of the document. They are described once, because every body is held against its own.
static SCHEMAS: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::new();
    Apis::register(&mut registry);
    registry
});

/// All mistakes of a value that was to be a `T`, which the document has.
pub(crate) fn mistakes<T: Type>(value: &Value) -> Vec<FieldError> {
    let mut check = Check { registry: &SCHEMAS, mistakes: Vec::new() };
    check.value(value, &T::schema_ref(), "");
    check.mistakes
}

struct Check<'a> {
    registry: &'a Registry,
    mistakes: Vec<FieldError>,
}

impl Check<'_> {
    fn add(&mut self, field: &str, rule: String, hint: String) {
        let field = if field.is_empty() { "body" } else { field }.to_owned();
        self.mistakes.push(FieldError { field, rule, hint });
    }

    fn value(&mut self, value: &Value, schema: &MetaSchemaRef, path: &str) {
        match schema {
            MetaSchemaRef::Inline(schema) => self.inline(value, schema, path),
            MetaSchemaRef::Reference(name) => {
                if let Some(schema) = self.registry.schemas.get(name) {
                    self.inline(value, schema, path);
                }
            }
        }
    }

    fn inline(&mut self, value: &Value, schema: &MetaSchema, path: &str) {
        schema.all_of.iter().for_each(|part| self.value(value, part, path));
        match (schema.ty, value) {
            ("object", Value::Object(object)) => self.object(object, schema, path),
            ("array", Value::Array(items)) => {
                let Some(each) = &schema.items else { return };
                items.iter().enumerate().for_each(|(i, item)| self.value(item, each, &format!("{path}[{i}]")));
            }
            ("string", Value::String(text)) if !schema.enum_items.is_empty() && !schema.enum_items.contains(value) => {
                let known: Vec<&str> = schema.enum_items.iter().filter_map(Value::as_str).collect();
                self.add(path, format!("{text:?} is not a choice"), format!("write one of {}", known.join(", ")));
            }
            ("", _) | ("string", Value::String(_)) | ("boolean", Value::Bool(_)) => {}
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {}
            (wanted, _) => {
                let rule = format!("must be {}, not {}", article(wanted), kind(value));
                self.add(path, rule, format!("write it as {}", sample(wanted)));
            }
        }
    }

    fn object(&mut self, object: &Map<String, Value>, schema: &MetaSchema, path: &str) {
        let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for name in &schema.required {
            if object.get(*name).is_none_or(Value::is_null) {
                self.add(&inside(name), "is required".into(), format!("add {name}"));
            }
        }
        for (name, value) in object {
            match schema.properties.iter().find(|(known, _)| known == name) {
                Some((_, schema)) if !value.is_null() => self.value(value, schema, &inside(name)),
                None if schema.additional_properties.is_none() => {
                    let known: Vec<&str> = schema.properties.iter().map(|(known, _)| *known).collect();
                    self.add(&inside(name), "is not a field".into(), format!("the fields are {}", known.join(", ")));
                }
                _ => {}
            }
        }
    }
}

fn article(kind: &str) -> String {
    if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { format!("an {kind}") } else { format!("a {kind}") }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn sample(kind: &str) -> &'static str {
    match kind {
        "string" => "\"text\"",
        "boolean" => "true or false",
        "integer" => "a whole number without quotes",
        "array" => "[\"one\", \"two\"]",
        _ => "{\"name\": ...}",
    }
}
