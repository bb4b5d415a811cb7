//! JSON that is text, because hardly anybody who has it looks into it: on its way out of the database ([`Text`]), and on its
//! way into it ([`Body`]).

use std::sync::Arc;

use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr};
use sea_orm::{ActiveValue, IntoActiveValue, TryGetableFromJson};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use streams::limits::json;

/// JSON of a row, as it was stored. It is shared, and not read until somebody asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(Arc<RawValue>);

impl Text {
    /// Of what can be JSON; `null` where it cannot.
    #[must_use]
    pub fn new(of: &impl Serialize) -> Self {
        Self::made(of).unwrap_or_else(|_| Self(Box::<RawValue>::default().into()))
    }

    /// The same; an error where it cannot be JSON.
    pub(crate) fn made(of: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self(to_raw_value(of)?.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// What it says.
    #[must_use]
    pub fn value(&self) -> Value {
        json::stored(self.as_str().as_bytes()).unwrap_or_default() // it was JSON when it came
    }
}

impl Default for Text {
    /// `null`.
    fn default() -> Self {
        Self(Box::<RawValue>::default().into())
    }
}

impl PartialEq for Text {
    /// By what it says: PostgreSQL keeps another text of it than it was given.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() || self.value() == other.value()
    }
}

impl TryGetableFromJson for Text {}

impl From<Text> for sea_orm::Value {
    /// The text, for the statements of [`super::bulk`], which tell PostgreSQL what it is.
    fn from(text: Text) -> Self {
        Self::String(Some(text.as_str().to_owned()))
    }
}

impl ValueType for Text {
    fn try_from(value: sea_orm::Value) -> Result<Self, ValueTypeErr> {
        let sea_orm::Value::String(Some(text)) = value else { return Err(ValueTypeErr) };
        RawValue::from_string(text).map(|text| Self(text.into())).map_err(|_| ValueTypeErr)
    }

    fn type_name() -> String {
        "Text".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::Json
    }

    fn column_type() -> ColumnType {
        ColumnType::JsonBinary
    }
}

impl Nullable for Text {
    fn null() -> sea_orm::Value {
        sea_orm::Value::String(None)
    }
}

impl IntoActiveValue<Self> for Text {
    fn into_active_value(self) -> ActiveValue<Self> {
        ActiveValue::set(self)
    }
}

/// JSON of a row, as a tree. It is read by [`json::stored`], because what older versions have stored may be nested deeper than
/// is accepted today.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Tree(pub Value);

impl std::ops::Deref for Tree {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl From<Tree> for Value {
    fn from(tree: Tree) -> Self {
        tree.0
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        json::stored(raw.get().as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

impl TryGetableFromJson for Tree {}

impl From<Tree> for sea_orm::Value {
    fn from(tree: Tree) -> Self {
        tree.0.into()
    }
}

impl ValueType for Tree {
    fn try_from(value: sea_orm::Value) -> Result<Self, ValueTypeErr> {
        let sea_orm::Value::Json(Some(tree)) = value else { return Err(ValueTypeErr) };
        Ok(Self(*tree))
    }

    fn type_name() -> String {
        "Tree".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::Json
    }

    fn column_type() -> ColumnType {
        ColumnType::JsonBinary
    }
}

impl Nullable for Tree {
    fn null() -> sea_orm::Value {
        sea_orm::Value::Json(None)
    }
}

impl IntoActiveValue<Self> for Tree {
    fn into_active_value(self) -> ActiveValue<Self> {
        ActiveValue::set(self)
    }
}

/// JSON that is about to be written: a tree while it is put together, or already the text of an object.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Tree(Value),
    Text(String),
}

impl Body {
    /// The text of what is an object as JSON; of anything else it is the tree.
    pub(crate) fn object(of: &impl Serialize) -> Self {
        match serde_json::to_string(of) {
            Ok(text) if text.ends_with('}') => Self::Text(text),
            Ok(text) => Self::Tree(json::stored(text.as_bytes()).unwrap_or_default()),
            Err(_) => Self::default(),
        }
    }

    /// With one more field, whose value is the text of JSON. An object's text is not read for that.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        match &mut self {
            Self::Text(text) => {
                let separator = if text.ends_with("{}") { "" } else { "," };
                text.pop();
                text.push_str(separator);
                text.push('"');
                text.push_str(name);
                text.push_str("\":");
                text.push_str(value);
                text.push('}');
            }
            Self::Tree(tree) => tree[name] = json::stored(value.as_bytes()).unwrap_or_default(),
        }
        self
    }

    /// Changes it.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Value)) {
        let mut tree = std::mem::take(self).into_tree();
        change(&mut tree);
        *self = Self::Tree(tree);
    }

    /// The tree.
    pub(crate) fn into_tree(self) -> Value {
        match self {
            Self::Tree(tree) => tree,
            Self::Text(text) => json::stored(text.as_bytes()).unwrap_or_default(), // it was made of something
        }
    }

    /// Becomes text, and gives the same, to be shared.
    pub(crate) fn text(&mut self) -> Option<Text> {
        let text = std::mem::take(self).into_text();
        let shared = RawValue::from_string(text.clone()).map(|text| Text(text.into())).ok();
        *self = Self::Text(text);
        shared
    }

    /// The text.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Tree(tree) => tree.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Tree(Value::Null)
    }
}

impl From<Value> for Body {
    fn from(tree: Value) -> Self {
        Self::Tree(tree)
    }
}

impl From<Map<String, Value>> for Body {
    fn from(tree: Map<String, Value>) -> Self {
        Self::Tree(Value::Object(tree))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_added_to_a_text_as_to_a_tree() {
        for of in [json!({}), json!({ "a": { "b": "}" } }), json!({ "a": [1] })] {
            let (text, tree) = (Body::object(&of), Body::from(of.clone()));
            assert!(matches!(text, Body::Text(_)));
            let (text, tree) = (text.with("more", "{\"x\":null}"), tree.with("more", "{\"x\":null}"));
            let read: Value = serde_json::from_str(&text.into_text()).expect("JSON");
            assert_eq!(read.to_string(), tree.into_text(), "{of}");
        }
    }

    #[test]
    fn a_text_becomes_a_tree_where_somebody_looks_into_it() {
        let mut body = Body::object(&json!({ "decision": "settled" }));
        body.change(|tree| tree["decision"] = "edited".into());
        assert_eq!(body.into_text(), r#"{"decision":"edited"}"#);
    }
}
