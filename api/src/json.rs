//! JSON responses, written straight from the resource.
//!
//! The framework's own `Json` first builds a tree of every answer. This one has the same schema in the API
//! document, and lets serde write the bytes: always the same for the same resource, because a repeated answer
//! must equal the first. So each resource is described twice, for the document and for the bytes; a test
//! compares the two for every answer.

use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::{self, Payload};
use poem_openapi::registry::{MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, ToJSON};
use serde::Serialize;

/// An answer.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: ToJSON + ParseFromJSON + Serialize> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = payload::Json::<T>::CONTENT_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        #[cfg(test)]
        tests::answered::<T>();
        T::register(registry);
    }
}

impl<T: ToJSON + ParseFromJSON + Serialize> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        payload::Json::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }
}

impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        poem::web::Json(self.0).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::document::document;

    /// Reads an example as a resource; panics if the two ways of writing it differ.
    type Check = fn(&Value) -> bool;

    thread_local! {
        static ANSWERED: RefCell<BTreeMap<String, Check>> = RefCell::default();
    }

    /// Registers a type of answer when the document is built.
    pub(super) fn answered<T: ToJSON + ParseFromJSON + Serialize>() {
        ANSWERED.with_borrow_mut(|all| all.insert(T::name().into_owned(), same::<T>));
    }

    fn same<T: ToJSON + ParseFromJSON + Serialize>(example: &Value) -> bool {
        let Ok(resource) = T::parse_from_json(Some(example.clone())) else { return false };
        assert_eq!(serde_json::to_value(&resource).ok(), resource.to_json(), "{}", T::name());
        true
    }

    /// The document's example for a schema.
    fn example(document: &Value, name: &str) -> Option<Value> {
        let operations =
            document["paths"].as_object()?.values().filter_map(Value::as_object).flat_map(|all| all.values());
        let responses =
            operations.filter_map(|operation| operation["responses"].as_object()).flat_map(|all| all.values());
        let mut contents =
            responses.filter_map(|response| response["content"].as_object()).flat_map(|all| all.values());
        let reference = format!("#/components/schemas/{name}");
        contents.find(|content| content["schema"]["$ref"] == *reference).map(|content| content["example"].clone())
    }

    /// Every member of every object in a value: path and name.
    fn members(value: &Value, at: &str) -> Vec<(String, String)> {
        let inside = |name: &dyn std::fmt::Display, inner| members(inner, &format!("{at}/{name}"));
        match value {
            Value::Object(object) => {
                let own = object.keys().map(|name| (at.to_owned(), name.clone()));
                own.chain(object.iter().flat_map(|(name, inner)| inside(name, inner))).collect()
            }
            Value::Array(items) => items.iter().enumerate().flat_map(|(i, item)| inside(&i, item)).collect(),
            _ => Vec::new(),
        }
    }

    fn without(whole: &Value, owner: &str, name: &str) -> Value {
        let mut less = whole.clone();
        less.pointer_mut(owner).and_then(Value::as_object_mut).map(|object| object.remove(name));
        less
    }

    #[test]
    fn every_answer_is_written_as_the_document_describes_it() {
        let document: Value = serde_json::from_str(&document("0")).expect("JSON");
        let answered = ANSWERED.take();
        assert!(answered.len() > 15, "{:?}", answered.keys());
        for (name, same) in answered {
            let example = example(&document, &name).expect(&name);
            assert!(same(&example), "{name}: {example}");
            // fields that may be absent are absent in both
            for (owner, member) in members(&example, "") {
                same(&without(&example, &owner, &member));
            }
        }
    }
}
