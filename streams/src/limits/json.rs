//! Strict JSON from outside: what serde_json would silently alter is refused, with its path.
//!
//! serde_json keeps the last of two equal keys, turns integers beyond 64 bits into floats, and reads at most
//! 128 levels, fewer than a document has once it is wrapped. So each document is checked before it is read:
//! level by level as raw texts, which costs its size once per level, at most [`super::DEPTH`] times.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Breach, DEPTH, Error, texts::excerpt};

/// Maximum number of breaches reported.
const MOST: usize = 20;
/// Maximum depth of stored documents: far more than any version has accepted, and far less than the stack can hold.
const STORED: usize = 512;

/// Reads JSON of at most `depth` levels.
///
/// # Errors
/// All breaches of limits, or invalid JSON.
pub fn strict(bytes: &[u8], depth: usize) -> Result<Value, Error> {
    let breaches = breaches(bytes, depth)?;
    if breaches.is_empty() { Ok(serde_json::from_slice(bytes)?) } else { Err(Error::Breaches(breaches)) }
}

/// The breaches of limits in a JSON text.
///
/// # Errors
/// Invalid JSON.
pub fn breaches(bytes: &[u8], depth: usize) -> Result<Vec<Breach>, serde_json::Error> {
    let raw: &RawValue = serde_json::from_slice(bytes)?;
    let mut walk = Walk { found: Vec::new(), depth, whole: false };
    walk.raw(At::Start(""), raw, depth)?;
    Ok(walk.found)
}

/// The breaches in a parsed tree, where numbers and keys can no longer be wrong; `at` is its path.
#[must_use]
pub fn tree_breaches(tree: &Value, at: &str, depth: usize) -> Vec<Breach> {
    let mut walk = Walk { found: Vec::new(), depth, whole: false };
    walk.branch(At::Start(at), tree, depth);
    walk.found
}

/// The breaches in a tree parsed from YAML, whose parser turns integers that are too large into floats.
#[must_use]
pub fn yaml_breaches(tree: &Value, depth: usize) -> Vec<Breach> {
    let mut walk = Walk { found: Vec::new(), depth, whole: true };
    walk.branch(At::Start(""), tree, depth);
    walk.found
}

/// Reads data that was accepted earlier, even if it is deeper than is accepted today.
///
/// # Errors
/// The data does not have the expected type.
pub fn stored<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    match serde_json::from_slice(bytes) {
        Err(error) if error.is_syntax() && error.to_string().starts_with("recursion limit") => {
            let raw: &RawValue = serde_json::from_slice(bytes)?;
            serde_json::from_value(deep(raw, STORED)?)
        }
        read => read,
    }
}

/// Parses a text that is too deep for serde_json to read in one go.
fn deep(raw: &RawValue, left: usize) -> Result<Value, serde_json::Error> {
    match Level::of(raw)? {
        Level::Leaf => serde_json::from_str(raw.get()),
        _ if left == 0 => serde_json::from_str(raw.get()), // to get its error
        Level::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| Ok((name.into_owned(), deep(value, left - 1)?)));
            fields.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        Level::Array(items) => {
            items.into_iter().map(|item| deep(item, left - 1)).collect::<Result<_, _>>().map(Value::Array)
        }
    }
}

/// One level of a document.
enum Level<'a> {
    Object(Vec<(Cow<'a, str>, &'a RawValue)>),
    Array(Vec<&'a RawValue>),
    Leaf,
}

impl<'a> Level<'a> {
    fn of(raw: &'a RawValue) -> Result<Self, serde_json::Error> {
        match raw.get().as_bytes().first() {
            Some(b'{' | b'[') => serde_json::from_str(raw.get()),
            _ => Ok(Self::Leaf),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Level<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Levels)
    }
}

struct Levels;

impl<'de> Visitor<'de> for Levels {
    type Value = Level<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            fields.push((name.0, map.next_value()?));
        }
        Ok(Level::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Level::Array(items))
    }
}

/// A key, borrowed unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The current path, as a list of steps on the stack.
#[derive(Clone, Copy)]
enum At<'a> {
    Start(&'a str),
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn show(self) -> String {
        match self {
            Self::Start(name) => name.to_owned(),
            Self::Item(parent, i) => format!("{}[{i}]", parent.show()),
            Self::Field(parent, name) => match parent.show() {
                parent if parent.is_empty() => excerpt(name),
                parent => format!("{parent}.{}", excerpt(name)),
            },
        }
    }
}

struct Walk {
    found: Vec<Breach>,
    depth: usize,
    /// Whole floats beyond 64 bits were integers.
    whole: bool,
}

impl Walk {
    fn add(&mut self, at: At<'_>, rule: impl Into<String>, hint: &str) {
        if self.found.len() < MOST {
            let field = super::shorten(&at.show(), 255).into_owned();
            self.found.push(Breach { field, rule: rule.into(), hint: hint.to_owned() });
        }
    }

    /// Whether this level is too deep; nothing below it is checked then.
    fn too_deep(&mut self, at: At<'_>, left: usize) -> bool {
        if left == 0 {
            let rule = format!("is nested more than {} levels deep", self.depth);
            self.add(at, rule, "flatten it, or store it elsewhere and refer to it");
        }
        left == 0
    }

    fn text(&mut self, at: At<'_>, text: &str) {
        if text.contains('\0') {
            self.add(at, "must not hold NUL characters", "remove \\u0000");
        }
    }

    fn raw(&mut self, at: At<'_>, raw: &RawValue, left: usize) -> Result<(), serde_json::Error> {
        match raw.get().as_bytes().first() {
            Some(b'{' | b'[') if self.too_deep(at, left) => {}
            Some(b'{' | b'[') => self.level(at, Level::of(raw)?, left - 1)?,
            Some(b'"') if raw.get().contains('\\') => self.text(at, &serde_json::from_str::<String>(raw.get())?),
            Some(b'-' | b'0'..=b'9') => self.number(at, raw.get()),
            _ => {}
        }
        Ok(())
    }

    fn level(&mut self, at: At<'_>, level: Level<'_>, left: usize) -> Result<(), serde_json::Error> {
        match level {
            Level::Object(fields) => {
                let mut seen = HashSet::with_capacity(fields.len());
                for (name, value) in &fields {
                    let at = At::Field(&at, name);
                    self.text(at, name);
                    if !seen.insert(name.as_ref()) {
                        self.add(at, "appears twice in one object", "keep one of the two");
                    }
                    self.raw(at, value, left)?;
                }
            }
            Level::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.raw(At::Item(&at, i), item, left)?;
                }
            }
            Level::Leaf => {}
        }
        Ok(())
    }

    fn number(&mut self, at: At<'_>, text: &str) {
        let whole = !text.contains(['.', 'e', 'E']);
        if whole && text.parse::<i64>().is_err() && text.parse::<u64>().is_err() {
            let rule = format!("{} is an integer that does not fit into 64 bits", excerpt(text));
            self.add(at, rule, "write it as a string, in quotes; integers go from -2^63 to 2^64-1");
        }
        if !whole && !text.parse::<f64>().is_ok_and(f64::is_finite) {
            self.add(
                at,
                format!("{} is out of the range of numbers", excerpt(text)),
                "write it as a string, in quotes",
            );
        }
    }

    fn branch(&mut self, at: At<'_>, tree: &Value, left: usize) {
        match tree {
            Value::Object(_) | Value::Array(_) if self.too_deep(at, left) => {}
            Value::Object(fields) => {
                for (name, value) in fields {
                    let at = At::Field(&at, name);
                    self.text(at, name);
                    self.branch(at, value, left - 1);
                }
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, item)| self.branch(At::Item(&at, i), item, left - 1));
            }
            Value::String(text) => self.text(at, text),
            Value::Number(number) if self.whole && number.is_f64() => {
                self.float(at, number.as_f64().unwrap_or_default())
            }
            _ => {}
        }
    }

    fn float(&mut self, at: At<'_>, number: f64) {
        if number >= u64::MAX as f64 || number <= i64::MIN as f64 {
            let rule = format!("{number:e} is an integer that does not fit into 64 bits");
            self.add(at, rule, "write it as a string, in quotes; integers go from -2^63 to 2^64-1");
        }
    }
}

/// Reads a document of the usual depth; see [`strict`].
///
/// # Errors
/// See [`strict`].
pub fn document(bytes: &[u8]) -> Result<Value, Error> {
    strict(bytes, DEPTH)
}
