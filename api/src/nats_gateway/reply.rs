//! Converts a response to a message: the body unchanged, status and headers as headers.

use std::str::FromStr;

use bytes::Bytes;
use poem::Response;
use streams::async_nats::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::{Kind, Problem};

/// A reply.
pub(super) struct Reply {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Converts a response to a reply of at most `limit` bytes.
pub(super) async fn reply(response: Response, limit: usize) -> Reply {
    let (parts, body) = response.into_parts();
    let Ok(body) = body.into_bytes().await else { return refusal(Kind::Internal, "the answer broke off").await };
    if body.len() > limit {
        let detail = format!(
            "the answer has {} bytes, more than the {limit} that NATS permits; use a smaller `limit`",
            body.len()
        );
        return refusal(Kind::TooLarge, &detail).await;
    }
    let mut headers = HeaderMap::new();
    put(&mut headers, "status", parts.status.as_str());
    for (name, value) in &parts.headers {
        if let Ok(value) = value.to_str() {
            put(&mut headers, name.as_str(), value);
        }
    }
    Reply { headers, body }
}

/// A problem is small enough for every limit.
async fn refusal(kind: Kind, detail: &str) -> Reply {
    Box::pin(reply(Problem::new(kind, detail).respond(None), usize::MAX)).await
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_str(&spelt(name)), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// The conventional spelling, because NATS distinguishes `Location` and `location`.
fn spelt(name: &str) -> String {
    if name.eq_ignore_ascii_case("etag") {
        return "ETag".into();
    }
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-')
        .map(|word| if word.is_empty() { String::new() } else { capital(word) })
        .collect::<Vec<_>>()
        .join("-")
}
