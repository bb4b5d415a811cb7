//! Documents that are the same for all callers: built once, compressed when a caller first asks for that, and
//! shared by all responses, which then hold no memory of their own.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

/// Marks a response whose bytes are shared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared;

/// A document that does not change while the process runs.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    media_type: &'static str,
    etag: HeaderValue,
    plain: Bytes,
    /// Compressed, if that is smaller. Empty until a caller asks for it: a server that is being started has
    /// better things to do.
    gzip: Arc<OnceCell<Option<Bytes>>>,
}

impl Document {
    pub(crate) fn new(media_type: &'static str, text: impl Into<Bytes>) -> Self {
        let plain: Bytes = text.into();
        let digest: String = Sha256::digest(&plain).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        // weak, because the two encodings are the same document and not the same bytes
        let etag = HeaderValue::from_str(&format!("W/\"{digest}\"")).unwrap_or(HeaderValue::from_static("W/\"\""));
        Self { media_type, etag, plain, gzip: Arc::default() }
    }

    /// The response to a request with these headers.
    pub(crate) async fn respond(&self, headers: &HeaderMap) -> Response {
        let mut response = if self.is_known(headers) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let response = Response::builder().content_type(self.media_type);
            let gzip = if takes_gzip(headers) { self.gzip().await } else { None };
            match gzip {
                Some(gzip) => response.header(header::CONTENT_ENCODING, "gzip").body(gzip),
                None => response.body(self.plain.clone()),
            }
        };
        let own = response.headers_mut();
        own.insert(header::ETAG, self.etag.clone());
        own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")); // caches may keep it, but must revalidate
        response.extensions_mut().insert(Shared);
        response
    }

    /// Compresses at the first call, away from the threads that serve requests: a megabyte takes a while.
    async fn gzip(&self) -> Option<Bytes> {
        let compress = || async {
            let plain = self.plain.clone();
            let gzip = tokio::task::spawn_blocking(move || compressed(&plain)).await.ok().flatten();
            gzip.filter(|gzip| gzip.len() < self.plain.len())
        };
        self.gzip.get_or_init(compress).await.clone()
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let opaque = |etag: &str| etag.trim().trim_start_matches("W/").to_owned();
        let own = self.etag.to_str().map(opaque).unwrap_or_default();
        let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        given.flat_map(|value| value.split(',')).any(|etag| etag.trim() == "*" || opaque(etag) == own)
    }
}

impl Endpoint for Document {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self.respond(request.headers()).await)
    }
}

fn compressed(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?; // writing to a Vec cannot fail
    encoder.finish().ok().map(Bytes::from)
}

/// Whether a client accepts gzip by RFC 9110: by name or `*`, and not with a weight of 0.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut star = false;
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
        let wanted = weight.is_some_and(|weight| weight > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => return wanted,
            "*" => star = wanted,
            _ => {}
        }
    }
    star
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the answer
mod tests {
    use super::*;

    fn asking(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn who_takes_gzip_is_told_apart_as_the_standard_says() {
        for (value, takes) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("*", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("GZIP", true),
        ] {
            assert_eq!(takes_gzip(&asking(header::ACCEPT_ENCODING, value)), takes, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_document_is_compressed_once_when_a_caller_first_asks_for_it() {
        let document = Document::new("text/plain", "long ".repeat(1_000));
        let plain = document.respond(&HeaderMap::new()).await;
        assert_eq!((plain.header("content-encoding"), document.gzip.initialized()), (None, false));
        let asking = asking(header::ACCEPT_ENCODING, "gzip");
        let (first, second) = tokio::join!(document.respond(&asking), document.respond(&asking));
        assert_eq!(first.header("content-encoding"), Some("gzip"));
        let (first, second) =
            (first.into_body().into_bytes().await.unwrap(), second.into_body().into_bytes().await.unwrap());
        assert_eq!((first.as_ptr(), first.len() < 5_000), (second.as_ptr(), true), "both share the bytes");
    }

    #[tokio::test]
    async fn who_has_it_already_gets_no_bytes() {
        let document = Document::new("text/plain", "long ".repeat(1_000));
        let etag = document.etag.to_str().unwrap().to_owned();
        let strong = etag.trim_start_matches("W/").to_owned();
        for known in [etag.clone(), strong, "*".into(), format!("\"other\", {etag}")] {
            let answer = document.respond(&asking(header::IF_NONE_MATCH, &known)).await;
            assert_eq!(
                (answer.status(), answer.header("etag")),
                (StatusCode::NOT_MODIFIED, Some(etag.as_str())),
                "{known}"
            );
        }
        let other = document.respond(&asking(header::IF_NONE_MATCH, "\"other\"")).await;
        assert_eq!(other.status(), StatusCode::OK);
    }
}
