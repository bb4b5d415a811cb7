//! Which error is which problem. The only place in the API that knows.

use std::time::Duration;

use engine::{Class, DbErr, ReplayError, WriteError, feed, fold, history, request};
use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError};
use poem::http::StatusCode;
use poem_openapi::error::{ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError};
use poem_openapi::registry::MetaSchemaRef;

use super::{Kind, Problem, Stands};
use crate::routes::Route;
use crate::schema;
use crate::sessions::etag;

impl From<request::Error> for Problem {
    fn from(error: request::Error) -> Self {
        match error {
            request::Error::Invalid(invalid) => Self::invalid(invalid.0),
            request::Error::Writer(error) => error.into(),
            request::Error::Database(error) => database(error),
            request::Error::Unexpected(_) => internal(&error),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(error) => error.into(),
            WriteError::NotFound { what, name } => Self::not_found(what, name),
            WriteError::InUse { .. } => Self::new(
                Kind::InUse,
                format!("{error}; delete them first, or ask with force=true: they keep what they were made of"),
            ),
            WriteError::Superseded(why) => Self::new(Kind::Superseded, why),
            WriteError::Conflict(why) => Self::new(Kind::Conflict, why),
            WriteError::SameIdOtherContent(_) => Self::new(Kind::Conflict, error.to_string()),
            WriteError::Backlog { .. } => Self::new(Kind::Unavailable, error.to_string()).after(Duration::from_secs(5)),
            WriteError::Moved { generation, revision } => Self::precondition(etag::format(generation, revision)),
            WriteError::Invalid(invalid) => Self::invalid(invalid.0),
            WriteError::KeyReused(_) => Self::new(Kind::IdempotencyKeyReused, error.to_string()),
            WriteError::Busy => Self::new(Kind::Unavailable, error.to_string()),
            WriteError::Unavailable(_) => silent(&error),
            WriteError::Unstorable(_) => {
                tracing::warn!(%error, "a request cannot be stored");
                Self::new(
                    Kind::InvalidFields,
                    format!("{error}; nothing was changed, and the same request will fail again"),
                )
            }
            WriteError::Unexplained(_) => {
                tracing::error!(%error, "a request was not stored");
                Self::new(
                    Kind::Unavailable,
                    "the database did not take this request, and the server's log has its reason; nothing was changed",
                )
            }
            WriteError::Unreadable(_) => internal(&error),
        }
    }
}

impl From<machine::command::Error> for Problem {
    fn from(error: machine::command::Error) -> Self {
        use machine::command::Error;
        let detail = error.to_string();
        match error {
            Error::Illegal { state, allowed, .. } => Self {
                stands: Some(Box::new(Stands {
                    state: state.to_owned(),
                    allowed: allowed.into_iter().map(str::to_owned).collect(),
                })),
                ..Self::new(Kind::IllegalTransition, detail)
            },
            Error::TooFar { left_s, .. } => Self::field("by", detail, later(left_s)),
            Error::NotOwner { .. } | Error::Nonsense(_) => Self::new(Kind::Conflict, detail),
        }
    }
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::NotFound(id) => Self::not_found("dead letter", id),
            ReplayError::Foreign { .. } => Self::new(Kind::Conflict, error.to_string()),
            ReplayError::Superseded(why) => Self::new(Kind::Superseded, why),
            ReplayError::Writer(error) => error.into(),
            ReplayError::Database(error) => database(error),
            ReplayError::Publish(error) => {
                tracing::warn!(%error, "a dead letter could not be published");
                Self::new(Kind::Unavailable, "NATS does not take the message now; the dead letter is still open")
            }
        }
    }
}

impl From<history::Error> for Problem {
    fn from(error: history::Error) -> Self {
        match error {
            history::Error::NotYet { .. } => Self::new(Kind::NotFound, error.to_string()),
            history::Error::Pruned { .. } => Self::new(Kind::Pruned, error.to_string()),
            history::Error::Database(error) | history::Error::Fold(fold::Error::Database(error)) => database(error),
            history::Error::Fold(_) | history::Error::Unreadable(..) => internal(&error),
        }
    }
}

/// The streams cannot be looked after now.
impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Writer(error) => error.into(),
            engine::Error::Database(error) => database(error),
            engine::Error::Topology(error) => {
                tracing::warn!(%error, "the streams could not be rebuilt");
                Self::new(Kind::Unavailable, "JetStream does not take it now; the engine goes on with it when it does")
            }
        }
    }
}

impl From<feed::Error> for Problem {
    fn from(error: feed::Error) -> Self {
        match error {
            feed::Error::Gone => {
                Self::new(Kind::Gone, format!("{error}; read the lists for what is true now, and watch without after"))
            }
            feed::Error::Unknown(id) => Self::not_found("event", id),
            feed::Error::Database(error) => database(error),
        }
    }
}

/// What whoever asked for too much extension may do.
fn later(left_s: i64) -> String {
    match u64::try_from(left_s).unwrap_or(0) {
        0 => "hibernate it and wake it again: a new run has its extensions before it".into(),
        left => {
            let left = streams::duration::format(std::time::Duration::from_secs(left));
            format!("ask for at most {left}, or hibernate it and wake it again: a new run has its extensions before it")
        }
    }
}

/// What the database said about a read. It is blamed only for what is its own or its machine's; a row that cannot be read, or a
/// statement that it does not understand, is a defect of this program.
pub(crate) fn database(error: DbErr) -> Problem {
    match engine::class(&error) {
        Class::Passing | Class::Contention => silent(&error),
        Class::Permanent | Class::Unknown => internal(&error),
    }
}

/// The database does not answer, or takes nothing.
fn silent(error: &dyn std::error::Error) -> Problem {
    tracing::warn!(%error, "the database is not available");
    Problem::new(Kind::Unavailable, "the database does not answer now; nothing was changed")
}

fn internal(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "a request met a defect");
    Problem::new(Kind::Internal, "the server met a defect; its log has the reason")
}

/// Errors of the framework, and ours that came through it.
pub(crate) fn foreign(error: poem::Error, route: Option<&Route>) -> Problem {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return problem.clone();
    }
    if let Some(error) = error.downcast_ref::<ParsePathError>() {
        // the framework names placeholders param0, param1, ...
        let n = error.name.trim_start_matches("param").parse().unwrap_or(0);
        let field = route.and_then(|route| route.placeholder(n)).unwrap_or(error.name);
        return Problem::placeholder(field, rule(&error.reason, route.and_then(|route| route.parameter(field))));
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        let rule = rule(&error.reason, route.and_then(|route| route.parameter(error.name)));
        return Problem::parameter(error.name, rule, "see /docs for what it may be, or leave it out");
    }
    if let Some(error) = error.downcast_ref::<ContentTypeError>() {
        return Problem::new(Kind::UnsupportedMediaType, error.to_string());
    }
    if error.is::<ParseRequestPayloadError>() || error.is::<ReadBodyError>() {
        return Problem::new(Kind::MalformedBody, error.to_string());
    }
    if error.is::<NotFoundError>() {
        return Problem::new(Kind::NotFound, "there is nothing at this path; /docs lists what there is");
    }
    if error.is::<MethodNotAllowedError>() {
        return Problem::method(route.map(Route::allow).unwrap_or_default());
    }
    by_status(&error)
}

/// An error of the framework that nobody here expects: a status is all that is known of it.
fn by_status(error: &poem::Error) -> Problem {
    match error.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Problem::new(Kind::Unauthorized, "a token is needed"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Kind::TooLarge, "the body is too large"),
        status if status.is_client_error() => Problem::new(Kind::MalformedBody, "the request cannot be read"),
        _ => internal(error),
    }
}

/// What a parameter must be, in words: as the API document describes it, else as whoever read it says.
fn rule(reason: &str, schema: Option<&MetaSchemaRef>) -> String {
    schema.and_then(schema::sentence).unwrap_or_else(|| plain(reason).to_owned())
}

/// The framework says `failed to parse "type": why (occurred while parsing "type")`; people want the why, and know nothing of its types.
fn plain(reason: &str) -> &str {
    let why = reason.strip_prefix("failed to parse ").and_then(|rest| rest.split_once(": ")).map(|(_, why)| why);
    let why = why.map(|why| why.split_once(" (occurred while parsing ").map_or(why, |(why, _)| why));
    why.unwrap_or("cannot be read")
}

#[cfg(test)]
mod tests {
    use engine::DbErr;

    use super::*;

    #[test]
    fn the_types_of_the_framework_are_never_told() {
        let reason = r#"failed to parse "string_date-time": input is too short (occurred while parsing "optional_string_date-time")"#;
        assert_eq!(plain(reason), "input is too short");
        for odd in [
            r#"Type "optional_string" expects an input value."#,
            r#"Expected input type "integer_uint32", found null."#,
        ] {
            assert_eq!(plain(odd), "cannot be read");
        }
    }

    #[test]
    fn the_database_is_blamed_for_its_own_faults_only() {
        let silent = DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout);
        assert_eq!(database(silent).status(), StatusCode::SERVICE_UNAVAILABLE);
        let odd_row = DbErr::Type("a column that cannot be read".into());
        let problem = database(odd_row);
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!problem.to_string().contains("database"), "{problem}");
    }
}
