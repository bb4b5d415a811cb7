//! What an operation may be refused with, so that the API document says it of each.

use std::marker::PhantomData;

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
                &[$(Kind::$kind,)* Kind::InvalidParameter, Kind::Unauthorized, Kind::TooManyRequests, Kind::Unavailable, Kind::Internal];
        })*
    };
}
sorts! {
    /// Reads many.
    Listing: ;
    /// Reads one.
    Lookup: NotFound;
    /// Changes one.
    Change: NotFound, IllegalTransition, Superseded, Conflict, InUse;
    /// Takes a body.
    Creation: MalformedBody, TooLarge, UnsupportedMediaType, InvalidFields, Conflict;
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
        let mut statuses: Vec<u16> = S::KINDS.iter().map(|kind| kind.status().as_u16()).collect();
        statuses.sort_unstable();
        statuses.dedup();
        MetaResponses { responses: statuses.into_iter().map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        Shown::register(registry);
    }
}

fn response(status: u16) -> MetaResponse {
    let (description, header) = match status {
        400 => ("The request cannot be read.", None),
        401 => ("A token is needed.", Some("WWW-Authenticate")),
        404 => ("There is no such thing.", None),
        409 => ("The present state does not permit it.", None),
        413 => ("The body is too large.", None),
        415 => ("The body has the wrong type.", None),
        422 => ("Fields are wrong; `errors` names each.", None),
        429 => ("Too many requests.", Some("Retry-After")),
        503 => ("Nothing was accepted; ask again.", Some("Retry-After")),
        _ => ("A defect.", None),
    };
    let header = header.map(|name| MetaHeader {
        name: name.to_owned(),
        description: None,
        required: true,
        deprecated: false,
        schema: String::schema_ref(),
    });
    MetaResponse {
        description,
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType { content_type: MEDIA_TYPE, schema: Shown::schema_ref() }],
        headers: header.into_iter().collect(),
    }
}
