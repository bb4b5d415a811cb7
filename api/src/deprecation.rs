//! Deprecated operations, and the dates of their deprecation.
//!
//! An operation is marked with `#[oai(deprecated)]` and listed here; its answers then carry `Deprecation` (RFC
//! 9745), `Sunset` (RFC 8594) and a link to its replacement. A test keeps both in step. The policy is in this
//! crate's README.

use chrono::{DateTime, Utc};
use poem::http::{HeaderMap, HeaderValue, header};

/// A deprecated operation.
struct Deprecated {
    operation_id: &'static str,
    /// Seconds since the epoch.
    since: i64,
    /// Seconds since the epoch; half a year after `since` at the least.
    sunset: i64,
    /// Link to the documentation of the replacement.
    instead: &'static str,
}

/// All deprecated operations; none at present.
const ALL: &[Deprecated] = &[];

/// Adds the headers to the answer of a deprecated operation.
pub(crate) fn add_headers(operation_id: Option<&str>, headers: &mut HeaderMap) {
    let listed = operation_id.and_then(|id| ALL.iter().find(|one| one.operation_id == id));
    if let Some(one) = listed {
        write(one, headers);
    }
}

fn write(one: &Deprecated, headers: &mut HeaderMap) {
    let sunset: DateTime<Utc> = DateTime::from_timestamp(one.sunset, 0).unwrap_or_default();
    let sunset = sunset.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let link = format!("<{}>; rel=\"deprecation\"", one.instead);
    let texts = [("deprecation", format!("@{}", one.since)), ("sunset", sunset), (header::LINK.as_str(), link)];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::OpenApi;

    use super::*;

    #[test]
    fn a_deprecated_operation_says_since_when_until_when_and_what_instead() {
        let (since, sunset) = (1_767_225_600, 1_782_864_000);
        let one = Deprecated { operation_id: "old", since, sunset, instead: "/docs#new" };
        let mut headers = HeaderMap::new();
        write(&one, &mut headers);
        assert_eq!(headers["deprecation"], "@1767225600");
        assert_eq!(headers["sunset"], "Wed, 01 Jul 2026 00:00:00 GMT");
        assert_eq!(headers["link"], "</docs#new>; rel=\"deprecation\"");
    }

    #[test]
    fn what_is_marked_is_listed_and_what_is_listed_is_marked() {
        let operations =
            crate::document::Apis::meta().into_iter().flat_map(|api| api.paths).flat_map(|path| path.operations);
        let mut marked: Vec<&str> =
            operations.filter(|one| one.deprecated).filter_map(|one| one.operation_id).collect();
        let mut listed: Vec<&str> = ALL.iter().map(|one| one.operation_id).collect();
        marked.sort_unstable();
        listed.sort_unstable();
        assert_eq!(marked, listed);
        assert!(ALL.iter().all(|one| one.sunset - one.since >= 180 * 86_400), "half a year's notice");
    }
}
