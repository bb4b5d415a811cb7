//! What a request body must be before anybody looks at its content: of the right type, small enough, and decodable.

use std::time::Duration;

use bytes::Bytes;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::de::DeserializeOwned;
use serde_json::Value;
use streams::limits::{self, DEPTH, FRAME, json};

use crate::problem::{Kind, Problem};
use crate::schema;

/// Bytes that bodies may have; the gate puts them into every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) body: usize,
    pub(crate) templates: usize,
    /// How long one may take to come.
    pub(crate) time: Duration,
}

/// A JSON body, decoded strictly: unknown fields and wrong types are refused, each by name.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if !is_json(media_type(request)) {
            return Err(unsupported(request, "application/json").into());
        }
        let limit = request.data::<Limits>().map_or(0, |limits| limits.body);
        let bytes = read(request, body, limit).await?;
        Ok(Self(decode(&bytes)?))
    }
}

/// The shape is looked at even where decoding succeeds: for serde, an array of a struct's fields is that struct.
fn decode<T: Type + DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mistakes = schema::mistakes::<T>(&json(bytes)?);
    if !mistakes.is_empty() {
        return Err(Problem::invalid(mistakes));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, why) = (error.path().to_string(), error.inner().to_string());
        let why = why.split(" at line ").next().unwrap_or_default().to_owned();
        if path == "." {
            Problem::new(Kind::InvalidFields, why)
        } else {
            Problem::field(&path, why, "see /docs for what it may be")
        }
    })
}

/// Any JSON within the limits of every entrance.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, Problem> {
    json::strict(bytes, DEPTH + FRAME).map_err(|error| match error {
        limits::Error::Syntax(error) => Problem::new(Kind::MalformedBody, format!("the body is not JSON: {error}")),
        limits::Error::Breaches(breaches) => Problem::invalid(breaches.into_iter().map(Into::into).collect()),
    })
}

/// The media type without its parameters, in lower case; empty where there is none.
pub(crate) fn media_type(request: &Request) -> String {
    let whole = request.content_type().unwrap_or_default();
    whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub(crate) fn is_json(media_type: impl AsRef<str>) -> bool {
    let media_type = media_type.as_ref();
    media_type == "application/json" || media_type.starts_with("application/") && media_type.ends_with("+json")
}

pub(crate) fn unsupported(request: &Request, wanted: &str) -> Problem {
    let found = media_type(request);
    let found = if found.is_empty() { "no content type" } else { &found };
    Problem::new(Kind::UnsupportedMediaType, format!("the body came with {found}; send Content-Type: {wanted}"))
}

/// The bytes of a body of at most `limit` bytes, whether or not its length was announced.
pub(crate) async fn read(request: &Request, body: &mut RequestBody, limit: usize) -> Result<Vec<u8>, Problem> {
    let announced = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let time = request.data::<Limits>().map_or(Duration::from_secs(60), |limits| limits.time);
    Ok(gather(body.take().map_err(unreadable)?, limit, time).await?.into())
}

/// All bytes of a body, which has a time to come.
pub(crate) async fn gather(body: poem::Body, limit: usize, time: Duration) -> Result<Bytes, Problem> {
    let late = |_| Problem::new(Kind::RequestTimeout, format!("the body did not come within {} s", time.as_secs_f64()));
    match tokio::time::timeout(time, body.into_bytes_limit(limit)).await.map_err(late)? {
        Ok(bytes) => Ok(bytes),
        Err(poem::error::ReadBodyError::PayloadTooLarge) => Err(too_large(limit)),
        Err(error) => Err(unreadable(error)),
    }
}

pub(crate) fn too_large(limit: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("the body may have at most {limit} bytes"))
}

pub(crate) fn unreadable(error: poem::error::ReadBodyError) -> Problem {
    Problem::new(Kind::MalformedBody, format!("the body could not be read: {error}"))
}
