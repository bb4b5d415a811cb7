//! The refusals of each operation, for the API document.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;

use super::{Kind, MEDIA_TYPE, Problem, Shown};

/// The problems of a kind of operation.
pub(crate) trait Sort: Send + Sync + 'static {
    /// Their types.
    const KINDS: &'static [Kind];
}

macro_rules! sorts {
    ($($(#[$doc:meta])* $name:ident: $($kind:ident),*;)*) => {
        $($(#[$doc])*
        #[derive(Debug)]
        pub(crate) enum $name {}

        impl Sort for $name {
            const KINDS: &'static [Kind] =
                &[$(Kind::$kind,)* Kind::InvalidParameter, Kind::Unauthorized, Kind::UriTooLong, Kind::HeadersTooLarge, Kind::TooManyRequests, Kind::Unavailable, Kind::Internal];
        })*
    };
}
sorts! {
    /// Lists.
    Listing: ;
    /// Reads one resource.
    Lookup: NotFound;
    /// Reads a resource as it was.
    History: NotFound, Pruned;
    /// Changes a resource.
    Change: NotFound, IllegalTransition, Superseded, Conflict, TooLarge, RequestTimeout, IdempotencyKeyReused;
    /// Deletes a resource that others may use.
    Removal: NotFound, InUse, Conflict, TooLarge, RequestTimeout, IdempotencyKeyReused;
    /// Changes a session, possibly with a condition.
    Conditional: NotFound, IllegalTransition, Conflict, PreconditionFailed, TooLarge, RequestTimeout, IdempotencyKeyReused;
    /// Amends a session, possibly with a condition.
    Amendment: NotFound, IllegalTransition, PreconditionFailed, MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType,
        InvalidFields, IdempotencyKeyReused;
    /// Extends a session, possibly with a condition.
    Extending: NotFound, IllegalTransition, Conflict, PreconditionFailed, MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType,
        InvalidFields, IdempotencyKeyReused;
    /// Watches the feed.
    Watching: NotFound, Gone;
    /// Watches the feed over a WebSocket.
    WatchingSocket: NotFound, Gone, UpgradeRequired;
    /// Changes a resource by a body.
    Operation: NotFound, Conflict, MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType, InvalidFields, IdempotencyKeyReused;
    /// Corrects an unreadable message.
    Correction: NotFound, Superseded, Conflict, MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType, InvalidFields,
        IdempotencyKeyReused;
    /// Has a body.
    Creation: MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType, InvalidFields, IdempotencyKeyReused, Conflict;
}

/// A problem of such an operation.
#[derive(Debug)]
pub(crate) struct Refused<S>(Problem, PhantomData<S>);

impl<S, E: Into<Problem>> From<E> for Refused<S> {
    fn from(error: E) -> Self {
        Self(error.into(), PhantomData)
    }
}

impl<S> From<Refused<S>> for poem::Error {
    fn from(refused: Refused<S>) -> Self {
        refused.0.into()
    }
}

impl<S: Sort> ApiResponse for Refused<S> {
    fn meta() -> MetaResponses {
        let statuses: BTreeSet<u16> = S::KINDS.iter().map(|kind| kind.status().as_u16()).collect();
        MetaResponses { responses: statuses.into_iter().map(|status| response(status, S::KINDS)).collect() }
    }

    fn register(registry: &mut Registry) {
        Shown::register(registry);
    }
}

/// A status with the types that it may mean here; the examples in the document are chosen by the types in its text.
fn response(status: u16, kinds: &[Kind]) -> MetaResponse {
    let (description, headers): (_, &[&str]) = match status {
        400 => ("The request is malformed.", &[]),
        401 => ("Authentication required.", &["WWW-Authenticate"]),
        408 => ("Request timeout.", &[]),
        414 => ("URL too long.", &[]),
        431 => ("Headers too large.", &[]),
        404 => ("Not found.", &[]),
        409 => ("The present state does not permit the request.", &[]),
        410 => ("No longer kept.", &[]),
        412 => ("The session has changed since the ETag in `If-Match` was read.", &["ETag"]),
        413 => ("Body too large.", &[]),
        415 => ("Unsupported content type.", &[]),
        422 => ("Well-formed, but invalid.", &[]),
        426 => ("WebSocket required.", &["Upgrade"]),
        429 => ("Too many requests.", &["Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]),
        503 => ("Temporarily unavailable; nothing was accepted.", &["Retry-After"]),
        _ => ("A defect.", &[]),
    };
    let names: Vec<String> =
        kinds.iter().filter(|kind| kind.status().as_u16() == status).map(|kind| format!("`{}`", kind.name())).collect();
    let headers = headers.iter().map(|name| MetaHeader {
        name: (*name).to_owned(),
        description: None,
        required: true,
        deprecated: false,
        schema: String::schema_ref(),
    });
    MetaResponse {
        description: kept(format!("{description} Types: {}.", names.join(", "))),
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType { content_type: MEDIA_TYPE, schema: Shown::schema_ref() }],
        headers: headers.collect(),
    }
}

/// The framework requires static texts; there are few, and each is leaked once.
fn kept(text: String) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text.as_str()) {
        return known;
    }
    let text: &'static str = text.leak();
    texts.insert(text);
    text
}
