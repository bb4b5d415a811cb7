//! What is answered about a session: every answer carries its `ETag`.

use engine::store::session;
use poem_openapi::ApiResponse;

use super::etag::etag;
use super::resource::Session;
use crate::json::Json;
use crate::routes::PREFIX;

/// A session that was accepted.
#[derive(ApiResponse)]
pub(super) enum Accepted {
    /// The session is durable, and has reached the state that was waited for.
    #[oai(status = 201)]
    Reached(
        Json<Session>,
        /// The session's path.
        #[oai(header = "Location")]
        String,
        /// The session's version.
        #[oai(header = "ETag")]
        String,
    ),
    /// The session is durable and on its way.
    #[oai(status = 202)]
    Underway(
        Json<Session>,
        /// The session's path.
        #[oai(header = "Location")]
        String,
        /// The session's version.
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

/// An answer to something that was asked of a session.
#[derive(ApiResponse)]
pub(super) enum Asked {
    /// What was asked holds.
    #[oai(status = 200)]
    Holds(
        Json<Session>,
        /// The session's version.
        #[oai(header = "ETag")]
        String,
    ),
    /// What was asked is durable and under way.
    #[oai(status = 202)]
    Underway(
        Json<Session>,
        /// The session's version.
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

/// A session as it stands.
#[derive(ApiResponse)]
#[allow(clippy::large_enum_variant)] // it is sent as soon as it is made
pub(super) enum Read {
    /// The session.
    #[oai(status = 200)]
    Session(
        Json<Session>,
        /// The session's version.
        #[oai(header = "ETag")]
        String,
    ),
    /// It is as `If-None-Match` names it.
    #[oai(status = 304)]
    Unchanged(
        /// The session's version.
        #[oai(header = "ETag")]
        String,
    ),
}

/// A session after a change.
#[derive(ApiResponse)]
pub(super) enum Changed {
    /// It holds.
    #[oai(status = 200)]
    Session(
        Json<Session>,
        /// The session's version.
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
