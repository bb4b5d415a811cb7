//! Amendments of a session: a JSON merge patch (RFC 7396), in which null and absent differ.

use std::collections::HashMap;

use engine::{AmendSession, amendment};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::{Example, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions, Object};
use serde_json::{Value, json};

use crate::body::{self, Limits};
use crate::problem::Problem;
use crate::schema;

const MERGE_PATCH: &str = "application/merge-patch+json";

/// A JSON merge patch (RFC 7396): absent fields stay, and null removes.
#[derive(Debug, Object)]
#[oai(rename = "PatchSession", example)]
struct PatchSession {
    /// All tags from now on; at most 32.
    #[oai(validator(max_items = 32, min_length = 1, max_length = 64, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$"))]
    tags: Option<Vec<String>>,
    /// Names with a value are set, and those with null removed; at most 16 KiB in all.
    metadata: Option<HashMap<String, Value>>,
    /// Idle time after which it is hibernated, such as `30m`; null for never.
    #[oai(validator(pattern = "^[0-9A-Za-z .]+$"))]
    idle_timeout: Option<String>,
}

impl Example for PatchSession {
    fn example() -> Self {
        Self {
            tags: Some(vec!["course-7".into(), "exam".into()]),
            metadata: Some(HashMap::from([("seat".to_owned(), json!(12))])),
            idle_timeout: Some("45m".into()),
        }
    }
}

/// A parsed and validated patch.
#[derive(Debug)]
pub(super) struct Patch(pub(super) AmendSession);

impl<'a> ApiExtractor<'a> for Patch {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        PatchSession::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = [MERGE_PATCH, "application/json"]
            .map(|content_type| MetaMediaType { content_type, schema: PatchSession::schema_ref() });
        Some(MetaRequest { description: None, content: content.into(), required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if !body::is_json(body::media_type(request)) {
            return Err(body::unsupported(request, MERGE_PATCH).into());
        }
        let limit = request.data::<Limits>().map_or(0, |limits| limits.body);
        let bytes = body::read(request, body, limit).await?;
        Ok(Self(decode(&body::json(&bytes)?)?))
    }
}

/// Reports all mistakes at once: wrong types, and invalid values in fields with the right type.
fn decode(patch: &Value) -> Result<AmendSession, Problem> {
    let mut mistakes = schema::mistakes::<PatchSession>(patch);
    if !patch.is_object() {
        return Err(Problem::invalid(mistakes));
    }
    let change = AmendSession {
        tags: given(patch, "tags").map(|tags| tags.unwrap_or_default()),
        metadata: patch.get("metadata").filter(|value| value.is_object() || value.is_null()).cloned(),
        idle_timeout: given(patch, "idle_timeout"),
    };
    if let Err(invalid) = amendment::check(change.clone()) {
        mistakes.extend(invalid.0);
    }
    if mistakes.is_empty() { Ok(change) } else { Err(Problem::invalid(mistakes)) }
}

/// A present field: its value, or null. A value of another type has been reported already.
fn given<T: serde::de::DeserializeOwned>(patch: &Value, name: &str) -> Option<Option<T>> {
    serde_json::from_value(patch.get(name)?.clone()).ok()
}
