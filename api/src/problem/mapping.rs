//! Maps errors to problems. The only place in the API that does.

use std::time::Duration;

use engine::use_cases::{self, Denied};
use engine::{Class, Hint, ReadError, ReplayError, WriteError, feed, fold, history, request};
use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError};
use poem::http::StatusCode;
use poem_openapi::error::{ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError};
use poem_openapi::registry::MetaSchemaRef;

use super::{Kind, PresentState, Problem};
use crate::routes::Route;
use crate::schema;
use crate::sessions::etag;

impl From<use_cases::Error> for Problem {
    fn from(error: use_cases::Error) -> Self {
        use use_cases::Error;
        match error {
            Error::Denied(denied) => denied.into(),
            Error::NotFound { what, name } => Self::not_found(what, name),
            Error::Read(error) => database(error),
            Error::Request(error) => error.into(),
            Error::Write(error) => error.into(),
            Error::Replay(error) => error.into(),
            Error::History(error) => error.into(),
            Error::Feed(error) => error.into(),
            Error::Question(error) => error.into(),
            Error::Streams(error) => error.into(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotAdministrator | Denied::AnotherUser(_) => Self::new(Kind::Forbidden, denied.to_string()),
            Denied::NoSuchSession(id) => Self::not_found("session", id),
        }
    }
}

impl From<request::Error> for Problem {
    fn from(error: request::Error) -> Self {
        match error {
            request::Error::Invalid(invalid) => Self::invalid(invalid.0),
            request::Error::Writer(error) => error.into(),
            request::Error::Database(error) => database(error),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(error) => error.into(),
            WriteError::NotFound { what, name } => Self::not_found(what, name),
            WriteError::InUse { .. } => Self::new(Kind::InUse, error.to_string()).hinting(Hint::Force),
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
                present: Some(Box::new(PresentState {
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
                Self::new(Kind::Unavailable, "NATS does not accept the message now; the dead letter stays open")
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

/// JetStream or the database is unavailable.
impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Writer(error) => error.into(),
            engine::Error::Database(error) => database(error),
            engine::Error::Topology(error) => {
                tracing::warn!(%error, "the streams could not be rebuilt");
                Self::new(
                    Kind::Unavailable,
                    "JetStream does not accept it now; the engine continues as soon as it does",
                )
            }
        }
    }
}

impl From<feed::Error> for Problem {
    fn from(error: feed::Error) -> Self {
        match error {
            feed::Error::Gone => Self::new(Kind::Gone, error.to_string()).hinting(Hint::ListAgain),
            feed::Error::Unknown(id) => Self::not_found("event", id),
            feed::Error::Database(error) => database(error),
        }
    }
}

/// Advice after a request for too long an extension.
fn later(left_s: i64) -> String {
    match u64::try_from(left_s).unwrap_or(0) {
        0 => "hibernate and wake it: a new run can be extended again".into(),
        left => {
            let left = streams::duration::format(std::time::Duration::from_secs(left));
            format!("extend by at most {left}, or hibernate and wake it: a new run can be extended again")
        }
    }
}

/// The problem for an error of a read. The database is only blamed for its own problems and those of its
/// machine; an unreadable row or a statement that it does not understand is a defect of this program.
pub(crate) fn database(error: ReadError) -> Problem {
    match error.class() {
        Class::Passing | Class::Contention => silent(&error),
        Class::Permanent | Class::Unknown => internal(&error),
    }
}

/// The database does not answer, or accepts nothing.
fn silent(error: &dyn std::error::Error) -> Problem {
    tracing::warn!(%error, "the database is not available");
    Problem::new(Kind::Unavailable, "the database does not answer; nothing was changed")
}

fn internal(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "a request met a defect");
    Problem::new(Kind::Internal, "internal error; the server's log has the reason")
}

/// Errors of the framework, and our own that passed through it.
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
        return Problem::parameter(error.name, rule, Hint::Document);
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

/// An unexpected error of the framework, of which only the status is known.
fn by_status(error: &poem::Error) -> Problem {
    match error.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Problem::new(Kind::Unauthorized, "authentication is required")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Kind::TooLarge, "the body is too large"),
        status if status.is_client_error() => Problem::new(Kind::MalformedBody, "the request cannot be read"),
        _ => internal(error),
    }
}

/// The rule for a parameter: as in the API document, else as its parser says.
fn rule(reason: &str, schema: Option<&MetaSchemaRef>) -> String {
    schema.and_then(schema::sentence).unwrap_or_else(|| plain(reason).to_owned())
}

/// The framework says `failed to parse "type": why (occurred while parsing "type")`; people need the why, and
/// not its type names.
fn plain(reason: &str) -> &str {
    let why = reason.strip_prefix("failed to parse ").and_then(|rest| rest.split_once(": ")).map(|(_, why)| why);
    let why = why.map(|why| why.split_once(" (occurred while parsing ").map_or(why, |(why, _)| why));
    why.unwrap_or("cannot be read")
}

#[cfg(test)]
mod tests {
    use sea_orm::DbErr;

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
        assert_eq!(database(silent.into()).status(), StatusCode::SERVICE_UNAVAILABLE);
        let odd_row = DbErr::Type("a column that cannot be read".into());
        let problem = database(odd_row.into());
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!problem.to_string().contains("database"), "{problem}");
    }
}
