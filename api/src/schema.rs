//! Validates JSON bodies against the schemas of the API document.
//!
//! All mistakes of a body are reported at once, and what the document says is what is checked.

use std::sync::LazyLock;

use engine::FieldError;
use poem_openapi::OpenApi;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde_json::{Map, Value};

use crate::document::Apis;

/// The rule for ids that cannot be parsed.
pub(crate) const UUID_RULE: &str = "must be a UUID, such as 0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17";

/// The schemas of the document, built once, because every body is validated against its own.
static SCHEMAS: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::new();
    Apis::register(&mut registry);
    registry
});

/// All mistakes of a value that should be a `T`.
pub(crate) fn mistakes<T: Type>(value: &Value) -> Vec<FieldError> {
    let mut check = Check { registry: &SCHEMAS, mistakes: Vec::new() };
    check.value(value, &T::schema_ref(), "");
    check.mistakes
}

/// The part of a value that matches the schema of a `T`: without unknown fields and those with values of another shape, and with
/// placeholders for missing required fields.
pub(crate) fn fitting<T: Type>(value: &Value) -> Option<Value> {
    fit(value, &T::schema_ref())
}

fn fit(value: &Value, reference: &MetaSchemaRef) -> Option<Value> {
    let schema = resolved(reference)?;
    if let Some(inner) = schema.all_of.first().filter(|_| schema.ty.is_empty()) {
        return fit(value, inner);
    }
    match (schema.ty, value) {
        ("object", Value::Object(object)) => {
            let known =
                |name: &str| schema.properties.iter().find(|(known, _)| *known == name).map(|(_, schema)| schema);
            let mut fields: Map<String, Value> = object
                .iter()
                .filter_map(|(name, value)| match known(name) {
                    Some(schema) => Some((name.clone(), fit(value, schema)?)),
                    None => schema.additional_properties.is_some().then(|| (name.clone(), value.clone())),
                })
                .collect();
            for name in &schema.required {
                let blank = || known(name).and_then(blank).unwrap_or_default();
                fields.entry(*name).or_insert_with(blank);
            }
            Some(fields.into())
        }
        ("array", Value::Array(items)) => {
            let each = schema.items.as_deref()?;
            // an item that does not match keeps its position, so that the others are named correctly
            Some(items.iter().map(|item| fit(item, each).or_else(|| blank(each)).unwrap_or_default()).collect())
        }
        _ => {
            let mut check = Check { registry: &SCHEMAS, mistakes: Vec::new() };
            check.value(value, reference, "");
            check.mistakes.is_empty().then(|| value.clone())
        }
    }
}

/// A placeholder value of a schema.
fn blank(reference: &MetaSchemaRef) -> Option<Value> {
    let schema = resolved(reference)?;
    if let Some(inner) = schema.all_of.first().filter(|_| schema.ty.is_empty()) {
        return blank(inner);
    }
    Some(match schema.ty {
        "string" => schema.enum_items.first().cloned().unwrap_or_else(|| "".into()),
        "boolean" => false.into(),
        "integer" => 0.into(),
        "array" => Value::Array(Vec::new()),
        _ => Value::Object(Map::new()),
    })
}

fn resolved(reference: &MetaSchemaRef) -> Option<&MetaSchema> {
    match reference {
        MetaSchemaRef::Inline(schema) => Some(schema),
        MetaSchemaRef::Reference(name) => SCHEMAS.schemas.get(name),
    }
}

/// Describes a schema in a sentence, if that is possible: a choice, a boolean, an integer, an id.
pub(crate) fn sentence(schema: &MetaSchemaRef) -> Option<String> {
    let schema = resolved(schema)?;
    let inner = schema.all_of.first().filter(|_| schema.ty.is_empty());
    if let Some(inner) = inner {
        return sentence(inner);
    }
    let choices: Vec<&str> = schema.enum_items.iter().filter_map(Value::as_str).collect();
    match (schema.ty, schema.format) {
        ("string", _) if !choices.is_empty() => Some(format!("must be one of {}", choices.join(", "))),
        ("string", Some("uuid")) => Some(UUID_RULE.into()),
        ("boolean", _) => Some("must be true or false".into()),
        ("integer", _) => {
            let (least, most) = whole(schema)?;
            Some(format!("must be a whole number from {least} to {most}"))
        }
        _ => None,
    }
}

/// The range of an integer: the schema's own bounds within those of its format.
fn whole(schema: &MetaSchema) -> Option<(i128, i128)> {
    let (least, most) = bounds(schema.format?)?;
    let least = schema.minimum.map_or(least, |minimum| minimum as i128);
    Some((least, schema.maximum.map_or(most, |maximum| maximum as i128)))
}

/// The bounds of an integer format.
pub(crate) fn bounds(format: &str) -> Option<(i128, i128)> {
    Some(match format {
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" => (0, u64::MAX.into()),
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

struct Check<'a> {
    registry: &'a Registry,
    mistakes: Vec<FieldError>,
}

impl Check<'_> {
    fn add(&mut self, field: &str, rule: String, hint: String) {
        let field = if field.is_empty() { "body" } else { field }.to_owned();
        self.mistakes.push(FieldError { field, rule, hint: hint.into() });
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
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                let number = number.as_i128().unwrap_or_default();
                if let Some((least, most)) = whole(schema).filter(|(least, most)| !(*least..=*most).contains(&number)) {
                    let rule = format!("must be from {least} to {most}, not {number}");
                    self.add(path, rule, "write a number within these bounds, or leave it out".into());
                }
            }
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
