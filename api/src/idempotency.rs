//! Idempotent requests: the header `Idempotency-Key`, and the stored answer.
//!
//! The gate opens the key's scope around every request that changes something; the writer stores the answer in
//! the transaction that accepts the request. An operation gets this for free, as long as it becomes a single
//! piece of the writer's work. `wait` and `timeout` are not part of a request's identity: they change how it is
//! answered, not what it does.

use engine::use_cases::Key;
use poem::Request;
use poem::http::Method;
use sha2::{Digest, Sha256};

use crate::body::{Limits, gather};
use crate::problem::Problem;

/// Request header.
pub(crate) const HEADER: &str = "Idempotency-Key";
/// Header of a repeated answer.
pub(crate) const REPLAYED: &str = "Idempotent-Replayed";

/// Whether requests with this method may have a key.
pub(crate) fn applies(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PATCH | Method::PUT | Method::DELETE)
}

/// The key of a request, if it has one; its body is read for that.
pub(crate) async fn key(request: &mut Request, principal: &str, limits: Limits) -> Result<Option<Key>, Problem> {
    if !applies(request.method()) {
        return Ok(None);
    }
    let mut given = request.headers().get_all(HEADER).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| is_key(text) && given.next().is_none());
    let key = text.map(str::to_owned).ok_or_else(|| {
        let rule = "must appear once, with 1 to 255 visible ASCII characters";
        Problem::parameter(HEADER, rule, "use a new UUID for each request, and repeat it only with the same request")
    })?;
    let hash = Box::pin(hash(request, limits)).await?; // boxed, because few requests need it
    Ok(Some(Key::new(principal.to_owned(), key, hash)))
}

fn is_key(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// SHA-256 of what identifies a request.
async fn hash(request: &mut Request, limits: Limits) -> Result<String, Problem> {
    let bytes = gather(request.take_body(), limits.body.max(limits.templates), limits.time).await?;
    let query = request.uri().query().unwrap_or_default();
    let asked = query.split('&').filter(|pair| !pair.starts_with("wait=") && !pair.starts_with("timeout="));
    let head = format!("{} {}?{}\n", request.method(), request.uri().path(), asked.collect::<Vec<_>>().join("&"));
    let digest = Sha256::new().chain_update(head).chain_update(&bytes).finalize();
    request.set_body(bytes);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
