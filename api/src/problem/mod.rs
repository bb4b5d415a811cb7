//! What a refused request is answered with: one shape, `application/problem+json`, and one mapping from errors to it.
//!
//! `kind` lists the types of problems and explains each, `mapping` says which error is which, `refused` documents them.
//! Nothing else in this crate chooses a status for an error. What happened inside goes to the log, never to the caller.

mod example;
mod kind;
mod mapping;
mod refused;

use engine::FieldError;
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

/// Mistakes that are named at most; more do not help.
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
    stands: Option<Box<Stands>>,
    allow: Option<Box<str>>,
    retry_after: Option<u32>,
    etag: Option<Box<str>>,
    left: Option<Box<Left>>,
}

/// Where a session stands, for a transition that it does not permit.
#[derive(Debug, Clone)]
struct Stands {
    state: String,
    allowed: Vec<String>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry_after = matches!(kind, Kind::Unavailable | Kind::TooManyRequests).then_some(1);
        let (detail, errors) = (detail.into(), Vec::new());
        Self { kind, detail, errors, stands: None, allow: None, retry_after, etag: None, left: None }
    }

    /// A parameter of the path or the query that is wrong.
    pub(crate) fn parameter(field: &str, rule: impl Into<String>, hint: impl Into<String>) -> Self {
        let (field, rule, hint) = (field.to_owned(), rule.into(), hint.into());
        let detail = format!("{field}: {rule}");
        Self { errors: vec![FieldError { field, rule, hint }], ..Self::new(Kind::InvalidParameter, detail) }
    }

    /// A part of the path that cannot be what it stands for.
    pub(crate) fn placeholder(field: &str, rule: impl Into<String>) -> Self {
        Self::parameter(field, rule, "take it from a list, unchanged")
    }

    /// A body with one wrong field.
    pub(crate) fn field(field: &str, rule: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { field: field.to_owned(), rule: rule.into(), hint: hint.into() }])
    }

    /// A body whose fields are wrong.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail =
            errors.iter().map(|error| format!("{}: {}", error.field, error.rule)).collect::<Vec<_>>().join("; ");
        Self { errors, ..Self::new(Kind::InvalidFields, detail) }
    }

    pub(crate) fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} {name}"))
    }

    /// Asked with a method that the path does not have; `allow` lists those that it has.
    pub(crate) fn method(allow: String) -> Self {
        let detail = format!("this path takes {allow}");
        Self { allow: Some(allow.into()), ..Self::new(Kind::MethodNotAllowed, detail) }
    }

    /// Asked on a condition that does not hold; `etag` is the present one.
    pub(crate) fn precondition(etag: String) -> Self {
        let detail = format!("the present ETag is {etag}");
        Self { etag: Some(etag.into()), ..Self::new(Kind::PreconditionFailed, detail) }
    }

    /// The same with the mistakes, or the missing parts, named.
    pub(crate) fn naming(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    pub(crate) fn after(self, wait: std::time::Duration) -> Self {
        Self { retry_after: Some(wait.as_secs_f64().ceil().max(1.0) as u32), ..self }
    }

    /// Says what is left of a limit, too.
    pub(crate) fn limited(self, left: Left) -> Self {
        Self { left: Some(Box::new(left)), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The response; `instance` names this one refusal, as the log does.
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
            left.tell(headers);
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
    /// A path of this server that explains this type of problem.
    #[oai(rename = "type")]
    kind: String,
    /// The type in words.
    title: String,
    /// The status of the response.
    status: u16,
    /// What happened this time.
    detail: String,
    /// Names this one refusal; the server's log has it as `request.id`.
    instance: Option<String>,
    /// Every mistake that was found.
    errors: Vec<ShownMistake>,
    /// For `illegal-transition`: where the session stands.
    state: Option<String>,
    /// For `illegal-transition`: what may be asked instead.
    allowed: Option<Vec<String>>,
}

/// One mistake.
#[derive(Debug, Object)]
#[oai(rename = "Mistake")]
pub(crate) struct ShownMistake {
    /// The field or parameter, as a path.
    field: String,
    /// The rule that it breaks.
    rule: String,
    /// The way out.
    hint: String,
}

impl From<FieldError> for ShownMistake {
    fn from(error: FieldError) -> Self {
        Self { field: short(&error.field, NAME), rule: short(&error.rule, MESSAGE), hint: short(&error.hint, MESSAGE) }
    }
}

/// What was wrong may be quoted in a refusal, but not said back at length.
fn short(text: &str, max: usize) -> String {
    limits::shorten(text, max).into_owned()
}

impl From<Problem> for Shown {
    fn from(problem: Problem) -> Self {
        let (state, allowed) = problem.stands.map(|stands| (stands.state, stands.allowed)).unzip();
        Self {
            kind: problem.kind.path(),
            title: problem.kind.title().to_owned(),
            status: problem.kind.status().as_u16(),
            detail: short(&problem.detail, MESSAGE),
            instance: None,
            errors: problem.errors.into_iter().take(MOST).map(Into::into).collect(),
            state,
            allowed,
        }
    }
}

impl Example for Shown {
    fn example() -> Self {
        Kind::InvalidFields.example().into()
    }
}
