//! What users who are not administrators may do. Decided only here: the gate calls this before any operation runs.
//!
//! Access follows the shape of the path. Everything under a session's id is for its owner only, and what is not
//! listed here is for administrators, so that a new operation is closed until it is opened explicitly.

use engine::{Engine, queries};
use percent_encoding::percent_decode_str;
use poem::Request;
use poem::http::Method;
use uuid::Uuid;

use crate::auth::{Principal, Scope};
use crate::problem::{Kind, Problem, database};
use crate::routes::{PREFIX, Route};
use crate::schema;

/// Who may use an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Every user, about everything.
    Everybody,
    /// Every user, about themselves: the operation calls [`Principal::owner`].
    Themselves,
    /// The owner of the session in the path; for others it does not exist.
    Owner,
    Administrator,
}

const SESSIONS: &str = "/sessions";
const HOMES: &str = "/homes";
const SESSION: &str = "/sessions/{id}";
const READABLE: [&str; 5] =
    ["/templates", "/templates/{name}", "/controllers", "/controllers/{controller_id}", "/platforms"];

fn access(method: &Method, path: &str) -> Access {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let of_one = path.strip_prefix(SESSION).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match path {
        _ if of_one => Access::Owner,
        SESSIONS if reads || method == Method::POST => Access::Themselves,
        HOMES if reads => Access::Themselves,
        path if reads && READABLE.contains(&path) => Access::Everybody,
        _ => Access::Administrator,
    }
}

/// Checks whether a principal may send a request.
pub(crate) async fn permit(
    engine: &Engine,
    principal: &Principal,
    route: &Route,
    request: &Request,
) -> Result<(), Problem> {
    if principal.scope == Scope::Administrator {
        return Ok(());
    }
    match access(request.method(), route.path.strip_prefix(PREFIX).unwrap_or(&route.path)) {
        Access::Everybody | Access::Themselves => Ok(()),
        // boxed, because few requests need it and every one would carry it
        Access::Owner => Box::pin(owns(engine, principal, route.value("id", request.uri().path()))).await,
        Access::Administrator => Err(Problem::new(Kind::Forbidden, "only the administrator may do this")),
    }
}

/// Fails closed: a request with an unreadable id never reaches its operation.
async fn owns(engine: &Engine, principal: &Principal, id: Option<&str>) -> Result<(), Problem> {
    let id = percent_decode_str(id.unwrap_or_default()).decode_utf8_lossy();
    let id: Uuid = id.parse().map_err(|_| Problem::placeholder("id", schema::UUID_RULE))?;
    let row = queries::session(engine.reader(), id).await.map_err(database)?;
    let own = row.is_some_and(|row| row.user_id == principal.name);
    if own { Ok(()) } else { Err(Problem::not_found("session", id)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_opened_is_closed() {
        assert_eq!(access(&Method::GET, "/sessions/{id}/tomorrow"), Access::Owner);
        assert_eq!(access(&Method::GET, "/sessions/{id}"), Access::Owner);
        assert_eq!(access(&Method::GET, "/sessions/{id}/logs"), Access::Owner);
        assert_eq!(access(&Method::GET, "/homes"), Access::Themselves);
        for (method, path) in [
            (Method::POST, "/sessions/bulk"),
            (Method::DELETE, "/sessions"),
            (Method::POST, "/templates"),
            (Method::GET, "/admin/doctor"),
            (Method::GET, "/admin/tasks"),
            (Method::GET, "/sessions/{id}s"),
            (Method::GET, "/tomorrow"),
            (Method::DELETE, "/homes/{controller_id}/{name}"),
        ] {
            assert_eq!(access(&method, path), Access::Administrator, "{method} {path}");
        }
    }
}
