//! Refusals: one shape, `application/problem+json`, and one mapping from errors to it.
//!
//! `kind` lists and explains the types of problems, `mapping` maps errors to them, `refused` documents them per
//! operation. Nothing else in this crate chooses a status for an error. Internal details go to the log, never
//! to the caller.

mod example;
mod hint;
mod kind;
mod mapping;
mod refused;

use engine::{FieldError, Hint};
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::Object;
use poem_openapi::types::{Example, ToJSON};
use streams::limits::{self, MESSAGE, NAME};

use crate::rate::Left;
pub(crate) use kind::Kind;
pub(crate) use mapping::{database, foreign};
pub(crate) use refused::{
    Amendment, Change, Conditional, Correction, Creation, Extending, History, Listing, Lookup, Operation, Refused,
    Removal, Watching, WatchingSocket,
};

/// Maximum mistakes reported.
const MOST: usize = 100;

/// The media type of RFC 9457.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// A refused request.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<FieldError>,
    hint: Option<Box<Hint>>,
    present: Option<Box<PresentState>>,
    allow: Option<Box<str>>,
    retry_after: Option<u32>,
    etag: Option<Box<str>>,
    left: Option<Box<Left>>,
}

/// The present state of a session, for a transition that it does not permit.
#[derive(Debug, Clone)]
struct PresentState {
    state: String,
    allowed: Vec<String>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry_after = matches!(kind, Kind::Unavailable | Kind::TooManyRequests).then_some(1);
        let (detail, errors) = (detail.into(), Vec::new());
        Self { kind, detail, errors, hint: None, present: None, allow: None, retry_after, etag: None, left: None }
    }

    /// An invalid parameter of the path or the query.
    pub(crate) fn parameter(field: &str, rule: impl Into<String>, hint: impl Into<Hint>) -> Self {
        let (field, rule, hint) = (field.to_owned(), rule.into(), hint.into());
        let detail = format!("{field}: {rule}");
        Self { errors: vec![FieldError { field, rule, hint }], ..Self::new(Kind::InvalidParameter, detail) }
    }

    /// An invalid part of the path.
    pub(crate) fn placeholder(field: &str, rule: impl Into<String>) -> Self {
        Self::parameter(field, rule, "use a value from a list, unchanged")
    }

    /// A body with one invalid field.
    pub(crate) fn field(field: &str, rule: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::invalid(vec![FieldError { field: field.to_owned(), rule: rule.into(), hint: hint.into() }])
    }

    /// A body with invalid fields.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail =
            errors.iter().map(|error| format!("{}: {}", error.field, error.rule)).collect::<Vec<_>>().join("; ");
        Self { errors, ..Self::new(Kind::InvalidFields, detail) }
    }

    pub(crate) fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} {name}"))
    }

    /// A method that the path does not support; `allow` lists those that it does.
    pub(crate) fn method(allow: String) -> Self {
        let detail = format!("this path supports {allow}");
        Self { allow: Some(allow.into()), ..Self::new(Kind::MethodNotAllowed, detail) }
    }

    /// A condition that does not hold; `etag` is the present one.
    pub(crate) fn precondition(etag: String) -> Self {
        let detail = format!("the present ETag is {etag}");
        Self { etag: Some(etag.into()), ..Self::new(Kind::PreconditionFailed, detail) }
    }

    /// Adds mistakes, or missing parts.
    pub(crate) fn naming(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    /// Adds what to do about it.
    pub(crate) fn hinting(self, hint: Hint) -> Self {
        Self { hint: Some(Box::new(hint)), ..self }
    }

    pub(crate) fn after(self, wait: std::time::Duration) -> Self {
        Self { retry_after: Some(wait.as_secs_f64().ceil().max(1.0) as u32), ..self }
    }

    /// Adds what is left of a rate limit.
    pub(crate) fn limited(self, left: Left) -> Self {
        Self { left: Some(Box::new(left)), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The response; `instance` identifies this refusal in the log.
    pub(crate) fn respond(self, instance: Option<String>) -> Response {
        let mut response = Response::builder().status(self.status()).finish();
        let headers = response.headers_mut();
        let mut set = |name, value: &str| HeaderValue::from_str(value).map(|value| headers.insert(name, value));
        let _ = set(header::CONTENT_TYPE, MEDIA_TYPE); // all of these values are plain ASCII
        if self.kind == Kind::Unauthorized {
            let _ = set(header::WWW_AUTHENTICATE, "Bearer realm=\"streamspace\"");
        }
        if self.kind == Kind::UpgradeRequired {
            let _ = set(header::UPGRADE, "websocket");
        }
        if let Some(allow) = &self.allow {
            let _ = set(header::ALLOW, allow);
        }
        if let Some(etag) = &self.etag {
            let _ = set(header::ETAG, etag);
        }
        if let Some(seconds) = self.retry_after {
            let _ = set(header::RETRY_AFTER, &seconds.to_string());
        }
        if let Some(left) = self.left.as_deref() {
            left.add_headers(headers);
        }
        let shown = Shown { instance, ..Shown::from(self) };
        response.set_body(shown.to_json_string());
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.respond(None)
    }
}

impl poem::error::ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.kind.status()
    }

    fn as_response(&self) -> Response {
        self.clone().respond(None)
    }
}

/// A refused request, as RFC 9457 has it.
#[derive(Debug, Object)]
#[oai(rename = "Problem", example, skip_serializing_if_is_none)]
pub(crate) struct Shown {
    /// Path of a page on this server that explains this type of problem.
    #[oai(rename = "type")]
    kind: String,
    /// Title of the type.
    title: String,
    /// The status of the response.
    status: u16,
    /// Details of this occurrence.
    detail: String,
    /// Identifies this occurrence; `request.id` in the server's log.
    instance: Option<String>,
    /// All mistakes that were found.
    errors: Vec<ShownMistake>,
    /// For `illegal-transition`: the session's present state.
    state: Option<String>,
    /// For `illegal-transition`: the requests that are possible now.
    allowed: Option<Vec<String>>,
    /// What to do about it, if `errors` does not say it.
    hint: Option<String>,
    /// A stable name of the hint, for clients that word it themselves: `force`, `list_again`. Open: values may be added.
    hint_code: Option<String>,
}

/// One mistake.
#[derive(Debug, Object)]
#[oai(rename = "Mistake", skip_serializing_if_is_none)]
pub(crate) struct ShownMistake {
    /// The field or parameter, as a path.
    field: String,
    /// The rule that it breaks.
    rule: String,
    /// What to do about it.
    hint: String,
    /// A stable name of the hint, for clients that word it themselves: `list_templates`, `list_platforms`, `see_document`. Open:
    /// values may be added.
    hint_code: Option<String>,
}

impl From<FieldError> for ShownMistake {
    fn from(error: FieldError) -> Self {
        Self {
            field: short(&error.field, NAME),
            rule: short(&error.rule, MESSAGE),
            hint: short(&hint::words(&error.hint), MESSAGE),
            hint_code: error.hint.code().map(str::to_owned),
        }
    }
}

/// Input may be quoted in a refusal, but not at length.
fn short(text: &str, max: usize) -> String {
    limits::shorten(text, max).into_owned()
}

impl From<Problem> for Shown {
    fn from(problem: Problem) -> Self {
        let (state, allowed) = problem.present.map(|present| (present.state, present.allowed)).unzip();
        Self {
            kind: problem.kind.path(),
            title: problem.kind.title().to_owned(),
            status: problem.kind.status().as_u16(),
            detail: short(&problem.detail, MESSAGE),
            instance: None,
            errors: problem.errors.into_iter().take(MOST).map(Into::into).collect(),
            state,
            allowed,
            hint: problem.hint.as_deref().map(|hint| hint::words(hint).into_owned()),
            hint_code: problem.hint.as_deref().and_then(Hint::code).map(str::to_owned),
        }
    }
}

impl Example for Shown {
    fn example() -> Self {
        Kind::InvalidFields.example().into()
    }
}
