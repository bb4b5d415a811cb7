//! The web UI: the files of `web/dist`, embedded when this crate is compiled.
//!
//! Names of assets hold a hash of their content, so browsers keep them for ever; `index.html` is made anew for each answer, with the
//! path it is served under and a fresh nonce for styles. Cargo never calls npm: without a build, the page says how to make one.

mod policy;

use std::borrow::Cow;

use bytes::Bytes;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::web::Path;
use poem::{IntoResponse, Request, Response, handler};
use uuid::Uuid;

use crate::problem::Problem;
use crate::routes::PREFIX;
use crate::served::{Shared, takes_gzip};

/// What `make ui` built.
#[derive(rust_embed::RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Built;

/// What stands for the nonce and for the base path in the `index.html` that was built.
const NONCE: &str = "__NONCE__";
const BASE: &str = "__BASE__";
/// Bytes that a base path may have.
const LONGEST_BASE: usize = 128;

const UNBUILT: &str = include_str!("unbuilt.html");

/// Whether a browser asks for a page: every path that nothing else is at belongs to the UI then, which has a view for it.
pub(crate) fn is_page(request: &Request) -> bool {
    let path = request.uri().path();
    let accepts = request.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads && accepts && !path.starts_with(PREFIX) && !path.starts_with("/assets/") && !path.starts_with("/ui/")
}

/// The path that the UI is served under, with a slash at its end: a proxy that takes a prefix off says so in `X-Forwarded-Prefix`.
pub(crate) fn base(request: &Request) -> String {
    let prefix = request.header("x-forwarded-prefix").unwrap_or_default().trim_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let usable = !prefix.is_empty() && prefix.len() <= LONGEST_BASE && prefix.bytes().all(plain);
    if usable && !prefix.split('/').any(|part| part.is_empty() || part == "..") {
        format!("/{prefix}/")
    } else {
        "/".into()
    }
}

/// Any page.
#[handler]
pub(crate) fn page(request: &Request) -> Response {
    let (base, nonce) = (base(request), Uuid::new_v4().simple().to_string());
    let built = Built::get("index.html").and_then(|file| String::from_utf8(file.data.into_owned()).ok());
    let html = built.as_deref().unwrap_or(UNBUILT).replace(NONCE, &nonce).replace(BASE, &base);
    let mut response = Response::builder().content_type("text/html; charset=utf-8").body(html);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    policy::tell(headers, &nonce);
    response
}

/// A file whose name changes with its content.
#[handler]
pub(crate) fn asset(Path(name): Path<String>, request: &Request) -> poem::Result<Response> {
    let cached = "public, max-age=31536000, immutable";
    Ok(file(&format!("assets/{name}"), request.headers(), cached)?)
}

/// The icon, whose name stays.
#[handler]
pub(crate) fn icon(request: &Request) -> poem::Result<Response> {
    Ok(file("favicon.svg", request.headers(), "public, max-age=3600")?)
}

fn file(name: &str, headers: &HeaderMap, cached: &'static str) -> Result<Response, Problem> {
    let gzip = takes_gzip(headers).then(|| Built::get(&format!("{name}.gz"))).flatten();
    let zipped = gzip.is_some();
    let found = gzip.or_else(|| Built::get(name)).ok_or_else(|| Problem::not_found("file", name))?;
    let bytes = match found.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mut response = StatusCode::OK.with_body(bytes).into_response();
    response.extensions_mut().insert(Shared);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if zipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// By the end of a name; the build makes no others.
fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("png") => "image/png",
        Some("json" | "map") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_believed_only_where_it_is_a_plain_path() {
        for (prefix, base) in [
            ("/streamspace", "/streamspace/"),
            ("a/b/", "/a/b/"),
            ("", "/"),
            ("/../x", "/"),
            ("//evil.example", "/evil.example/"), // the slashes before it are gone, so it names no host
            ("\"><script>", "/"),
        ] {
            let request = Request::builder().header("x-forwarded-prefix", prefix).finish();
            assert_eq!(super::base(&request), base, "{prefix}");
        }
    }
}
