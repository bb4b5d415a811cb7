//! Checks a request body before its content is used: type, size and encoding.

use std::time::Duration;

use bytes::Bytes;
use engine::{FieldError, Hint};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::de::DeserializeOwned;
use serde_json::Value;
use streams::limits::{self, DEPTH, FRAME, json};

use crate::problem::{Kind, Problem};
use crate::schema;

/// Limits of bodies; the gate attaches them to every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) body: usize,
    pub(crate) templates: usize,
    /// Time limit for receiving a body.
    pub(crate) time: Duration,
}

/// A strictly decoded JSON body: unknown fields and wrong types are refused by name.
#[derive(Debug)]
pub(crate) enum Body<T> {
    /// A body that matches its schema.
    Fits(T),
    /// A body that does not.
    Wrong(Wrong<T>),
}

/// A body that does not match its schema. The values of its other fields are checked before it is refused, so that one answer
/// names every mistake.
#[derive(Debug)]
pub(crate) struct Wrong<T> {
    mistakes: Vec<FieldError>,
    /// The body without its invalid fields, and with placeholders for missing required ones.
    rest: Option<T>,
}

impl<T> Body<T> {
    /// The result of `read`, or all mistakes: those of the shape, and those that `read` finds in fields of the right shape.
    ///
    /// # Errors
    /// All mistakes, each with its field.
    pub(crate) fn read<R>(self, read: impl FnOnce(T) -> Result<R, Vec<FieldError>>) -> Result<R, Problem> {
        match self {
            Self::Fits(body) => read(body).map_err(Problem::invalid),
            Self::Wrong(mut wrong) => {
                let values = wrong.rest.take().and_then(|rest| read(rest).err()).unwrap_or_default();
                Err(wrong.refused_with(values))
            }
        }
    }

    /// The body, if its shape is valid and `mistakes` finds none.
    ///
    /// # Errors
    /// See [`Self::read`].
    pub(crate) fn check(self, mistakes: impl FnOnce(&T) -> Vec<FieldError>) -> Result<T, Problem> {
        self.read(|body| match mistakes(&body) {
            mistakes if mistakes.is_empty() => Ok(body),
            mistakes => Err(mistakes),
        })
    }
}

impl<T> Body<T> {
    /// The request that `make` turns the body into. Where its shape is invalid, it is refused with what `mistakes` finds in the
    /// request as well, which may ask the database.
    ///
    /// # Errors
    /// See [`Self::read`]; also what `make` refuses, and why the mistakes could not be found.
    pub(crate) async fn request<R, E: Into<Problem>>(
        self,
        make: impl FnOnce(T) -> Result<R, Problem>,
        mistakes: impl AsyncFnOnce(R) -> Result<Vec<FieldError>, E>,
    ) -> Result<R, Problem> {
        match self {
            Self::Fits(body) => make(body),
            Self::Wrong(mut wrong) => {
                let values = match wrong.rest.take() {
                    Some(rest) => mistakes(make(rest)?).await.map_err(Into::into)?,
                    None => Vec::new(),
                };
                Err(wrong.refused_with(values))
            }
        }
    }
}

impl<T> Wrong<T> {
    /// The refusal of a body, with the mistakes of its values, except those of fields that are named already.
    fn refused_with(mut self, values: Vec<FieldError>) -> Problem {
        let named: Vec<_> = self.mistakes.iter().map(|mistake| top(&mistake.field).to_owned()).collect();
        let news = |mistake: &FieldError| {
            let same = |known: &FieldError| known.field == mistake.field;
            !self.mistakes.iter().any(same) && !named.contains(&mistake.field)
        };
        let values: Vec<_> = values.into_iter().filter(news).collect();
        self.mistakes.extend(values);
        Problem::invalid(self.mistakes)
    }
}

/// The first field of a path.
fn top(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or_default()
}

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
        Ok(decode(&bytes)?)
    }
}

/// The shape is checked even if decoding succeeds, because serde accepts an array of a struct's fields as the struct.
fn decode<T: Type + DeserializeOwned>(bytes: &[u8]) -> Result<Body<T>, Problem> {
    let (tree, mut mistakes) = match json::strict(bytes, DEPTH + FRAME) {
        Ok(tree) => (tree, Vec::new()),
        Err(limits::Error::Syntax(error)) => return Err(malformed(&error)),
        Err(limits::Error::Breaches(breaches)) => {
            let mistakes = breaches.into_iter().map(Into::into).collect();
            match json::stored::<Value>(bytes) {
                Ok(tree) => (tree, mistakes),
                Err(_) => return Err(Problem::invalid(mistakes)), // far too deep to be read
            }
        }
    };
    mistakes.extend(schema::mistakes::<T>(&tree));
    if !mistakes.is_empty() {
        let rest = schema::fitting::<T>(&tree).and_then(|rest| serde_json::from_value(rest).ok());
        return Ok(Body::Wrong(Wrong { mistakes, rest }));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map(Body::Fits).map_err(|error| {
        let (path, why) = (error.path().to_string(), error.inner().to_string());
        let why = why.split(" at line ").next().unwrap_or_default().to_owned();
        if path == "." { Problem::new(Kind::InvalidFields, why) } else { Problem::field(&path, why, Hint::Document) }
    })
}

/// Parses any JSON within the limits.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, Problem> {
    json::strict(bytes, DEPTH + FRAME).map_err(|error| match error {
        limits::Error::Syntax(error) => malformed(&error),
        limits::Error::Breaches(breaches) => Problem::invalid(breaches.into_iter().map(Into::into).collect()),
    })
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Kind::MalformedBody, format!("the body is not JSON: {error}"))
}

/// The media type without parameters, in lower case; empty if there is none.
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
    Problem::new(Kind::UnsupportedMediaType, format!("the body has {found}; send Content-Type: {wanted}"))
}

/// Reads a body of at most `limit` bytes, whether or not its length was announced.
pub(crate) async fn read(request: &Request, body: &mut RequestBody, limit: usize) -> Result<Vec<u8>, Problem> {
    let announced = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let time = request.data::<Limits>().map_or(Duration::from_secs(60), |limits| limits.time);
    Ok(gather(body.take().map_err(unreadable)?, limit, time).await?.into())
}

/// Reads all bytes of a body within a time limit.
pub(crate) async fn gather(body: poem::Body, limit: usize, time: Duration) -> Result<Bytes, Problem> {
    let late =
        |_| Problem::new(Kind::RequestTimeout, format!("the body did not arrive within {} s", time.as_secs_f64()));
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
