//! Headers that are interpreted are validated, never ignored, because a client relies on its conditions.
//!
//! The framework treats a header that is not ASCII as absent, and uses only the first of several.

use poem::Request;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use streams::limits::HEADER;

use crate::idempotency;
use crate::problem::Problem;
use crate::routes::Route;

/// Headers that may appear once.
const SINGLE: [&str; 7] = [
    "Authorization",
    "Content-Type",
    idempotency::HEADER,
    "Last-Event-ID",
    "If-Unmodified-Since",
    "If-Modified-Since",
    "If-Range",
];
/// Headers whose repetitions form one list.
const LISTS: [HeaderName; 2] = [header::IF_MATCH, header::IF_NONE_MATCH];
/// Conditions; a request must not be carried out without checking them.
pub(crate) const CONDITIONS: [&str; 3] = ["If-Match", "If-None-Match", "If-Unmodified-Since"];

/// Refuses unreadable headers, and joins lists into one header.
pub(crate) fn check(request: &mut Request) -> Result<(), Problem> {
    let headers = request.headers_mut();
    for name in SINGLE {
        texts(headers, name)?;
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(Problem::parameter(name, "appears more than once", "send it once"));
        }
    }
    for known in LISTS {
        let name = if known == header::IF_MATCH { "If-Match" } else { "If-None-Match" };
        let list = texts(headers, name)?.join(", ");
        if headers.get_all(name).iter().nth(1).is_none() {
            continue;
        }
        let whole = HeaderValue::try_from(list).ok().filter(|list| list.len() <= HEADER);
        let whole = whole.ok_or_else(|| too_long(name))?;
        headers.insert(known, whole);
    }
    // by its standard, an unreadable one starts a new trace
    if headers.get_all(streams::trace::HEADER).iter().nth(1).is_some() {
        headers.remove(streams::trace::HEADER);
    }
    Ok(())
}

/// The values of a header.
fn texts<'a>(headers: &'a HeaderMap, name: &str) -> Result<Vec<&'a str>, Problem> {
    let text = |value: &'a HeaderValue| {
        let text = value
            .to_str()
            .map_err(|_| Problem::parameter(name, "must be printable ASCII", "send it unchanged, or leave it out"))?;
        if text.len() > HEADER { Err(too_long(name)) } else { Ok(text) }
    };
    headers.get_all(name).iter().map(text).collect()
}

fn too_long(name: &str) -> Problem {
    Problem::parameter(name, format!("must have at most {HEADER} characters"), "shorten it")
}

/// Refuses a condition that an operation does not support. Reads ignore those that are not checked, except `If-Match`.
pub(crate) fn conditions(request: &Request, route: &Route) -> Result<(), Problem> {
    let known = route.headers(request.method());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    for name in CONDITIONS {
        let meant = !reads || name != "If-None-Match";
        if meant && request.headers().contains_key(name) && !known.iter().any(|known| known.eq_ignore_ascii_case(name))
        {
            let rule = "is a condition that this operation does not support";
            return Err(Problem::parameter(name, rule, "leave it out; /docs says which operations take If-Match"));
        }
    }
    Ok(())
}
