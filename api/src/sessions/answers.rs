//! Answers about sessions; all carry the `ETag`.

use engine::store::session;
use poem_openapi::ApiResponse;

use super::etag::etag;
use super::resource::Session;
use crate::json::Json;
use crate::routes::PREFIX;

/// An accepted session.
#[derive(ApiResponse)]
pub(super) enum Accepted {
    /// The session is durable, and has reached the requested state.
    #[oai(status = 201)]
    Reached(
        Json<Session>,
        /// Path of the session.
        #[oai(header = "Location")]
        String,
        /// Version of the session.
        #[oai(header = "ETag")]
        String,
    ),
    /// The session is durable and under way.
    #[oai(status = 202)]
    Underway(
        Json<Session>,
        /// Path of the session.
        #[oai(header = "Location")]
        String,
        /// Version of the session.
        #[oai(header = "ETag")]
        String,
    ),
}

impl Accepted {
    pub(super) fn new(row: session::Model, reached: bool) -> Self {
        let (location, etag) = (format!("{PREFIX}/sessions/{}", row.session_id), etag(&row));
        let shown = Json(row.into());
        if reached { Self::Reached(shown, location, etag) } else { Self::Underway(shown, location, etag) }
    }
}

/// The answer to a change of a session.
#[derive(ApiResponse)]
pub(super) enum Asked {
    /// The requested state holds.
    #[oai(status = 200)]
    Holds(
        Json<Session>,
        /// Version of the session.
        #[oai(header = "ETag")]
        String,
    ),
    /// The request is durable and under way.
    #[oai(status = 202)]
    Underway(
        Json<Session>,
        /// Version of the session.
        #[oai(header = "ETag")]
        String,
    ),
}

impl Asked {
    pub(super) fn new(row: session::Model, holds: bool) -> Self {
        let etag = etag(&row);
        let shown = Json(row.into());
        if holds { Self::Holds(shown, etag) } else { Self::Underway(shown, etag) }
    }
}

/// A session as read.
#[derive(ApiResponse)]
#[allow(clippy::large_enum_variant)] // it is sent as soon as it is made
pub(super) enum Read {
    /// The session.
    #[oai(status = 200)]
    Session(
        Json<Session>,
        /// Version of the session.
        #[oai(header = "ETag")]
        String,
    ),
    /// It is unchanged since the ETag in `If-None-Match`.
    #[oai(status = 304)]
    Unchanged(
        /// Version of the session.
        #[oai(header = "ETag")]
        String,
    ),
}

/// A session after a change.
#[derive(ApiResponse)]
pub(super) enum Changed {
    /// The session after the change.
    #[oai(status = 200)]
    Session(
        Json<Session>,
        /// Version of the session.
        #[oai(header = "ETag")]
        String,
    ),
}

impl From<session::Model> for Changed {
    fn from(row: session::Model) -> Self {
        let etag = etag(&row);
        Self::Session(Json(row.into()), etag)
    }
}
