//! Which action a route is, so that a request is authorized before its body is read. What the action is allowed to is decided in
//! `engine::use_cases::authorize`.
//!
//! The action follows the shape of the path. Everything under a session's id is the use of that session, and what
//! is not listed here is for administrators, so that a new operation is closed until it is opened explicitly.

use engine::Engine;
use engine::use_cases::{Action, Resource, Role, authorize};
use percent_encoding::percent_decode_str;
use poem::Request;
use poem::http::Method;
use uuid::Uuid;

use crate::auth::Principal;
use crate::problem::Problem;
use crate::routes::{PREFIX, Route};
use crate::schema;

const SESSIONS: &str = "/sessions";
const HOMES: &str = "/homes";
const SESSION: &str = "/sessions/{id}";
const READABLE: [&str; 5] =
    ["/templates", "/templates/{name}", "/controllers", "/controllers/{controller_id}", "/platforms"];

fn action(method: &Method, path: &str) -> Action {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let of_one = path.strip_prefix(SESSION).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match path {
        _ if of_one => Action::UseSession,
        SESSIONS if reads => Action::ListSessions,
        SESSIONS if method == Method::POST => Action::CreateSession,
        HOMES if reads => Action::ListHomes,
        path if reads && READABLE.contains(&path) => Action::ReadCatalog,
        _ => Action::Administer,
    }
}

/// Refuses what the principal may not do.
pub(crate) async fn permit(
    engine: &Engine,
    principal: &Principal,
    route: &Route,
    request: &Request,
) -> Result<(), Problem> {
    let caller = principal.caller(None);
    match action(request.method(), route.path.strip_prefix(PREFIX).unwrap_or(&route.path)) {
        Action::UseSession if caller.role == Role::User => {
            let id = route.value("id", request.uri().path()).unwrap_or_default();
            let id = percent_decode_str(id).decode_utf8_lossy();
            let id: Uuid = id.parse().map_err(|_| Problem::placeholder("id", schema::UUID_RULE))?;
            // boxed, because few requests need it and every one would carry it
            Ok(Box::pin(engine.on_behalf_of(caller).may_use(id)).await?)
        }
        action => Ok(authorize(&caller, action, &Resource::Installation)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_opened_is_closed() {
        assert_eq!(action(&Method::GET, "/sessions/{id}/tomorrow"), Action::UseSession);
        assert_eq!(action(&Method::GET, "/sessions/{id}"), Action::UseSession);
        assert_eq!(action(&Method::GET, "/sessions/{id}/logs"), Action::UseSession);
        assert_eq!(action(&Method::GET, "/homes"), Action::ListHomes);
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
            assert_eq!(action(&method, path), Action::Administer, "{method} {path}");
        }
    }
}
