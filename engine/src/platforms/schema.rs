//! The JSON Schema of a platform's block in templates: which schemas are accepted from a controller, and how a block is
//! validated.
//!
//! A schema comes from outside and is applied to every request, so its cost is bounded before it is used: its size, its
//! depth, and the number of subschemas that one value can meet. References lead only into the schema itself and never
//! recur; patterns run on an engine of linear time.

use std::collections::{HashMap, HashSet};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;
use streams::limits::shorten;
use streams::wire::SCHEMA_BYTES_MAX;

/// Levels of a schema, with its references followed.
const DEPTH_MAX: usize = 64;
/// Subschemas that a value can meet, with the references followed.
const STEPS_MAX: usize = 20_000;
/// Bytes of a compiled pattern.
const PATTERN_BYTES: usize = 256 << 10;
/// Mistakes that are named.
const MISTAKES_MAX: usize = 10;
/// Characters of a rule; it may quote the value.
const RULE: usize = 300;

/// Why a schema is not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("it has {0} bytes, and may have {SCHEMA_BYTES_MAX}")]
    TooLarge(usize),
    #[error("it has more than {DEPTH_MAX} levels, with its references followed")]
    TooDeep,
    #[error("one value could meet more than {STEPS_MAX} of its subschemas")]
    TooExpensive,
    #[error("reference {0:?} does not lead into the schema itself (\"#/$defs/...\")")]
    Reference(String),
    #[error("reference {0:?} recurs")]
    Recursive(String),
    #[error("{0} is not supported")]
    Keyword(String),
    #[error("it is not a JSON Schema: {0}")]
    Invalid(String),
}

/// A mistake in a block: its path under `spec`, and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) field: String,
    pub(crate) rule: String,
}

/// A schema that was accepted.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) document: Value,
    validator: Validator,
}

impl Schema {
    /// Checks and compiles a schema.
    pub(crate) fn compile(document: Value) -> Result<Self, Error> {
        let bytes = document.to_string().len();
        if bytes > SCHEMA_BYTES_MAX {
            return Err(Error::TooLarge(bytes));
        }
        Survey::new(&document).visit(&document, 0)?;
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let options = jsonschema::options().offline().should_validate_formats(false).with_pattern_options(patterns);
        let validator = options.build(&document).map_err(|error| Error::Invalid(rule(&error)))?;
        Ok(Self { document, validator })
    }

    /// The mistakes of a platform's block; without any it is valid.
    pub(crate) fn mistakes(&self, platform: &str, block: &Value) -> Vec<Mistake> {
        let mut found = Vec::new();
        for error in self.validator.iter_errors(block).take(MISTAKES_MAX) {
            gather(&error, platform, &mut found);
        }
        found.truncate(MISTAKES_MAX);
        found
    }
}

/// Names the fields of an error. Of alternatives (an optional object is one: it or `null`), the mistakes of the one that
/// the value comes closest to.
fn gather(error: &ValidationError<'_>, platform: &str, found: &mut Vec<Mistake>) {
    let depth = |error: &ValidationError<'_>| error.instance_path().as_str().len();
    let (ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }) = error.kind() else {
        found.push(Mistake { field: field(platform, error.instance_path().as_str()), rule: rule(error) });
        return;
    };
    let about_type = |errors: &&Vec<ValidationError<'_>>| {
        errors
            .iter()
            .any(|inner| depth(inner) == depth(error) && matches!(inner.kind(), ValidationErrorKind::Type { .. }))
    };
    match context.iter().find(|errors| !errors.is_empty() && !about_type(errors)) {
        Some(closest) => closest.iter().take(MISTAKES_MAX).for_each(|inner| gather(inner, platform, found)),
        None => found.push(Mistake { field: field(platform, error.instance_path().as_str()), rule: rule(error) }),
    }
}

/// A JSON pointer into the block as a path of the manifest: `spec.docker.hostPaths[0].mountPath`.
fn field(platform: &str, pointer: &str) -> String {
    let mut path = format!("spec.{platform}");
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{token}]"));
        } else {
            path.push('.');
            path.push_str(&token);
        }
    }
    path
}

fn rule(error: &ValidationError<'_>) -> String {
    shorten(&error.to_string(), RULE).into_owned()
}

/// Counts what a schema can cost, and refuses what it may not hold.
struct Survey<'a> {
    document: &'a Value,
    /// Targets of references: steps and levels below each.
    done: HashMap<&'a str, (usize, usize)>,
    open: HashSet<&'a str>,
}

impl<'a> Survey<'a> {
    fn new(document: &'a Value) -> Self {
        Self { document, done: HashMap::new(), open: HashSet::new() }
    }

    /// Steps and levels of a part of the schema that stands at a level.
    fn visit(&mut self, part: &'a Value, level: usize) -> Result<(usize, usize), Error> {
        if level > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        let (mut steps, mut below) = (1_usize, 0);
        let mut add = |(more, levels): (usize, usize)| {
            steps = steps.saturating_add(more);
            below = below.max(levels + 1);
        };
        match part {
            Value::Array(items) => {
                for item in items {
                    add(self.visit(item, level + 1)?);
                }
            }
            Value::Object(entries) => {
                for (name, value) in entries {
                    match (name.as_str(), value) {
                        ("$ref", Value::String(target)) => add(self.follow(target, level + 1)?),
                        ("$dynamicRef" | "$recursiveRef" | "$anchor" | "$dynamicAnchor" | "$id", Value::String(_)) => {
                            return Err(Error::Keyword(name.clone()));
                        }
                        _ => add(self.visit(value, level + 1)?),
                    }
                }
            }
            _ => {}
        }
        if steps > STEPS_MAX { Err(Error::TooExpensive) } else { Ok((steps, below)) }
    }

    fn follow(&mut self, target: &'a str, level: usize) -> Result<(usize, usize), Error> {
        if let Some((steps, levels)) = self.done.get(target) {
            return if level + levels > DEPTH_MAX { Err(Error::TooDeep) } else { Ok((*steps, *levels)) };
        }
        let pointer = target.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
        let part = pointer.and_then(|pointer| self.document.pointer(pointer));
        let part = part.ok_or_else(|| Error::Reference(target.to_owned()))?;
        if !self.open.insert(target) {
            return Err(Error::Recursive(target.to_owned()));
        }
        let cost = self.visit(part, level)?;
        self.open.remove(target);
        self.done.insert(target, cost);
        Ok(cost)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the answer
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(document: Value) -> Error {
        Schema::compile(document).unwrap_err()
    }

    #[test]
    fn a_mistake_names_its_field_also_below_what_may_be_left_out() {
        let schema = Schema::compile(json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "pull": { "enum": ["always", "never"] },
                "shmSize": { "type": "string", "pattern": "^[0-9]+(Mi|Gi)$" },
                "readiness": { "anyOf": [{ "$ref": "#/$defs/Readiness" }, { "type": "null" }] },
                "hostPaths": { "type": "array", "items": { "required": ["mountPath"] } },
            },
            "$defs": { "Readiness": { "type": "object", "properties": { "path": { "type": "string" } } } },
        }));
        let schema = schema.unwrap();
        let fields = |block: Value| {
            schema.mistakes("docker", &block).into_iter().map(|mistake| mistake.field).collect::<Vec<_>>()
        };
        assert!(fields(json!({ "pull": "always", "readiness": null, "shmSize": "1Gi" })).is_empty());
        assert_eq!(fields(json!({ "pull": "sometimes" })), ["spec.docker.pull"]);
        assert_eq!(fields(json!({ "shmSize": "large" })), ["spec.docker.shmSize"]);
        assert_eq!(fields(json!({ "readiness": { "path": 7 } })), ["spec.docker.readiness.path"]);
        assert_eq!(fields(json!({ "hostPaths": [{ "mountPath": "/" }, {}] })), ["spec.docker.hostPaths[1]"]);
        let typo = schema.mistakes("docker", &json!({ "shmsize": "1Gi" }));
        assert!(typo[0].field == "spec.docker" && typo[0].rule.contains("shmsize"), "{typo:?}");
    }

    #[test]
    fn a_schema_that_leads_elsewhere_or_recurs_is_refused() {
        let elsewhere = "https://example.com/schema.json";
        assert_eq!(refused(json!({ "$ref": elsewhere })), Error::Reference(elsewhere.into()));
        assert_eq!(refused(json!({ "$ref": "file:///etc/passwd" })), Error::Reference("file:///etc/passwd".into()));
        assert_eq!(refused(json!({ "$ref": "#/$defs/none" })), Error::Reference("#/$defs/none".into()));
        assert_eq!(refused(json!({ "$ref": "#" })), Error::Recursive("#".into()));
        let tree = json!({ "$defs": { "a": { "items": { "$ref": "#/$defs/a" } } }, "$ref": "#/$defs/a" });
        assert_eq!(refused(tree), Error::Recursive("#/$defs/a".into()));
        assert!(matches!(refused(json!({ "$dynamicRef": "#a" })), Error::Keyword(_)));
        assert!(matches!(refused(json!({ "$schema": "https://example.com/draft" })), Error::Invalid(_)));
        assert!(matches!(refused(json!({ "type": "whatever" })), Error::Invalid(_)));
    }

    #[test]
    fn a_schema_that_would_cost_too_much_is_refused_before_it_is_compiled() {
        let large = json!({ "description": "x".repeat(SCHEMA_BYTES_MAX) });
        assert!(matches!(refused(large), Error::TooLarge(_)));
        let mut doubling = serde_json::Map::new();
        for n in 0..30 {
            let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
            doubling.insert(format!("d{n}"), json!({ "allOf": [next.clone(), next] }));
        }
        doubling.insert("d30".into(), json!({}));
        assert!(matches!(
            refused(json!({ "$defs": doubling, "$ref": "#/$defs/d0" })),
            Error::TooExpensive | Error::TooDeep
        ));
        let deep = (0..100).fold(json!({}), |inner, _| json!({ "not": inner }));
        assert_eq!(refused(deep), Error::TooDeep);
    }

    #[test]
    fn a_pattern_takes_linear_time_and_one_that_cannot_is_refused() {
        assert!(matches!(refused(json!({ "pattern": "^(a+)\\1$" })), Error::Invalid(_)), "a back-reference");
        let schema = Schema::compile(json!({ "pattern": "^(a+)+$" })).unwrap();
        let since = std::time::Instant::now();
        assert_eq!(schema.mistakes("docker", &json!(format!("{}!", "a".repeat(50_000)))).len(), 1);
        assert!(since.elapsed() < std::time::Duration::from_secs(2));
    }
}
