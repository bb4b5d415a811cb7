//! Security headers of every answer: what a browser must not do with it.
//!
//! A page brings its own, stricter or wider policy (`ui`). Everything else is data or text, and no browser has a
//! reason to run, frame or guess anything in it.

use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use poem::{Request, http::uri::Scheme};

const ALWAYS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
];
/// For answers that are no pages.
const DATA: &str = "default-src 'none'; frame-ancestors 'none'";
/// For the pages of the API's documentation, which run their own scripts.
const PAGE: &str = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";
/// A year, as browsers recommend it.
const HTTPS_ONLY: &str = "max-age=31536000";

/// Whether a browser may be told to use https alone for the host of this request: not for `localhost`, where other
/// programs serve http on other ports.
pub(crate) fn is_https_only(request: &Request) -> bool {
    let host = request.header(header::HOST).or_else(|| request.uri().host()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    *request.scheme() == Scheme::HTTPS && name != "localhost" && !name.ends_with(".localhost")
}

/// Adds the headers that an answer does not have.
pub(crate) fn add(headers: &mut HeaderMap, https_only: bool) {
    let mut add = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    for (name, value) in ALWAYS {
        add(name, value);
    }
    if https_only {
        add(header::STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    let html = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = HeaderValue::from_static(if html { PAGE } else { DATA });
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
}
