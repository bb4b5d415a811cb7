//! CORS: pages of listed origins may read answers, and preflight requests are answered.
//!
//! Off unless origins are listed. Callers authenticate by a token in a header and never by a cookie, so
//! credentials in the sense of CORS are not allowed, and there is no `*`.

use std::sync::Arc;

use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use poem::{Request, Response};

/// Response headers that pages may read.
const EXPOSED: &str = "Allow, Content-Disposition, Deprecation, ETag, Idempotent-Replayed, Link, Location, RateLimit-Limit, \
                       RateLimit-Remaining, RateLimit-Reset, Retry-After, Sunset, X-Request-Id";
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// Request headers that pages may send.
const ASKED: &str =
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, traceparent";
/// Seconds for which a browser may cache a preflight answer.
const MAX_AGE: &str = "600";

/// An invalid origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin: write scheme and host exactly, and a port that is not the scheme's own, as https://ui.example.org:8443"
)]
pub struct BadOrigin(String);

/// An origin as browsers write it: scheme, host, and a port unless it is the scheme's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl std::str::FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin(text.to_owned());
        let text = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let (scheme, host) = (uri.scheme_str().ok_or_else(bad)?, uri.host().ok_or_else(bad)?);
        let own = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(bad()),
        };
        let port = uri.port_u16().filter(|port| *port != own).map(|port| format!(":{port}")).unwrap_or_default();
        let origin = format!("{scheme}://{host}{port}");
        let whole = text == origin || text == format!("{origin}:{own}");
        if !whole || host.contains('*') {
            return Err(bad());
        }
        HeaderValue::try_from(origin).map(Self).map_err(|_| bad())
    }
}

/// The permitted origins; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Cors(Arc<[Origin]>);

impl Cors {
    pub(crate) fn new(origins: &[Origin]) -> Self {
        Self(origins.into())
    }

    /// The request's origin, if it is permitted.
    pub(crate) fn origin(&self, request: &Request) -> Option<HeaderValue> {
        let asks = request.headers().get(header::ORIGIN)?;
        self.0.iter().find(|origin| origin.0 == *asks).map(|origin| origin.0.clone())
    }

    /// The answer to a preflight request. It carries no token, so it comes before everything else.
    pub(crate) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let origin = self.origin(request).filter(|_| asks)?;
        let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
        let headers = response.headers_mut();
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, ASKED),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        self.add_headers(Some(origin), headers);
        Some(response)
    }

    /// Lets the page read an answer. All answers vary by origin then, which caches have to know.
    pub(crate) fn add_headers(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the answer
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact_and_anything_wider_is_refused() {
        let read = |text: &str| text.parse::<Origin>().map(|origin| origin.0.to_str().unwrap().to_owned());
        assert_eq!(read("https://UI.example.org").unwrap(), "https://ui.example.org");
        assert_eq!(read("https://ui.example.org:443/").unwrap(), "https://ui.example.org");
        assert_eq!(read("http://localhost:5173").unwrap(), "http://localhost:5173");
        for wide in
            ["*", "null", "", "ui.example.org", "https://*.example.org", "https://a/b", "ftp://a", "https://u@a"]
        {
            assert!(read(wide).unwrap_err().to_string().contains(&format!("{wide:?}")), "{wide}");
        }
    }
}
