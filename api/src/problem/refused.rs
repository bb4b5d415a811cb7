//! What an operation may be refused with, so that the API document says it of each.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;

use super::{Kind, MEDIA_TYPE, Problem, Shown};

/// The problems of one sort of operation.
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
    /// Reads many.
    Listing: ;
    /// Reads one.
    Lookup: NotFound;
    /// Reads one as it was.
    History: NotFound, Pruned;
    /// Changes one.
    Change: NotFound, IllegalTransition, Superseded, Conflict, TooLarge, RequestTimeout, IdempotencyKeyReused;
    /// Takes one away that others may use.
    Removal: NotFound, InUse, Conflict, TooLarge, RequestTimeout, IdempotencyKeyReused;
    /// Asks something of a session, perhaps on a condition.
    Conditional: NotFound, IllegalTransition, Conflict, PreconditionFailed, TooLarge, RequestTimeout, IdempotencyKeyReused;
    /// Changes what is attached to a session, perhaps on a condition.
    Amendment: NotFound, IllegalTransition, PreconditionFailed, MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType,
        InvalidFields, IdempotencyKeyReused;
    /// Extends a session, perhaps on a condition.
    Extending: NotFound, IllegalTransition, Conflict, PreconditionFailed, MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType,
        InvalidFields, IdempotencyKeyReused;
    /// Watches the feed.
    Watching: NotFound, Gone;
    /// Watches the feed over a WebSocket.
    WatchingSocket: NotFound, Gone, UpgradeRequired;
    /// Changes one as a body says.
    Operation: NotFound, Conflict, MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType, InvalidFields, IdempotencyKeyReused;
    /// Corrects what could not be read.
    Correction: NotFound, Superseded, Conflict, MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType, InvalidFields,
        IdempotencyKeyReused;
    /// Takes a body.
    Creation: MalformedBody, TooLarge, RequestTimeout, UnsupportedMediaType, InvalidFields, IdempotencyKeyReused, Conflict;
}

/// The problem of an operation of this sort.
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

/// A status and the types that it may mean here; the document's examples are made by the types that the text names.
fn response(status: u16, kinds: &[Kind]) -> MetaResponse {
    let (description, headers): (_, &[&str]) = match status {
        400 => ("The request cannot be read.", &[]),
        401 => ("A token is needed.", &["WWW-Authenticate"]),
        408 => ("The request came too slowly.", &[]),
        414 => ("The URL is too long.", &[]),
        431 => ("The headers are too large.", &[]),
        404 => ("There is no such thing.", &[]),
        409 => ("The present state does not permit it.", &[]),
        410 => ("What was asked for is not kept any more.", &[]),
        412 => ("It is not any more as `If-Match` says.", &["ETag"]),
        413 => ("The body is too large.", &[]),
        415 => ("The body has the wrong type.", &[]),
        422 => ("It is well-formed, but not acceptable.", &[]),
        426 => ("This is a WebSocket.", &["Upgrade"]),
        429 => ("Too many requests.", &["Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]),
        503 => ("Nothing was accepted; ask again.", &["Retry-After"]),
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

/// The framework wants texts that live as long as the process; there are few, and each is kept once.
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
