//! Persistent homes and the logs of sessions, which controllers keep and are asked for on demand.

use std::sync::Arc;

use engine::Engine;
use engine::questions;
use engine::use_cases::Action;
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use streams::wire;
use uuid::Uuid;

use crate::auth::Caller;
use crate::document::Tag;
use crate::json::Json;
use crate::problem::{Kind, Listing, Lookup, Problem, Refused, Removal, database};

/// Default number of bytes of a log.
const LOG_BYTES: u32 = 64 << 10;

/// The end of a session's standard output and error.
#[derive(Debug, Object, Serialize)]
struct SessionLog {
    /// The session.
    session_id: Uuid,
    /// The controller that keeps it.
    controller_id: String,
    /// The end of its output; invalid UTF-8 is replaced.
    text: String,
    /// Number of bytes that are kept.
    kept_bytes: u64,
}

/// The persistent home of a user on one controller.
#[derive(Debug, Object, Serialize)]
struct PersistentHome {
    /// The controller that keeps it.
    controller_id: String,
    /// Its name on that controller.
    name: String,
    /// Its owner; null if no longer known.
    user_id: Option<String>,
    /// Size of its files in bytes; null if there are too many to count.
    bytes: Option<u64>,
    /// Sessions that use it, running or not; at most a hundred. It cannot be deleted while there are any.
    sessions: Vec<Uuid>,
}

/// A list of persistent homes.
#[derive(Debug, Object, Serialize)]
struct Homes {
    /// By controller and name; at most a thousand.
    items: Vec<PersistentHome>,
    /// The list is incomplete; filter by user to see all.
    truncated: bool,
    /// Controllers that keep homes and did not answer.
    silent: Vec<String>,
}

impl From<questions::Error> for Problem {
    fn from(error: questions::Error) -> Self {
        match error {
            questions::Error::NotFound(_) => Self::new(Kind::NotFound, error.to_string()),
            questions::Error::Refused { failure, .. } if failure.code == "home_in_use" => {
                Self::new(Kind::InUse, failure.message)
            }
            questions::Error::Database(error) => database(error),
            _ => Self::new(Kind::Unavailable, error.to_string()),
        }
    }
}

pub(crate) struct Kept(pub(crate) Arc<Engine>);

#[OpenApi]
impl Kept {
    /// Read the log of a session
    ///
    /// The end of its program's standard output and error, requested from its controller, which keeps it until
    /// the session is deleted. Controllers of the core lane, and platforms that keep no logs, have none: 404.
    /// If the controller is unreachable, or does not answer within ten seconds: 503.
    #[oai(path = "/sessions/:id/logs", method = "get", operation_id = "get_session_logs", tag = "Tag::Sessions")]
    async fn log(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Maximum number of bytes.
        #[oai(validator(minimum(value = "1"), maximum(value = "131072")))]
        bytes: Query<Option<u32>>,
    ) -> Result<Json<SessionLog>, Refused<Lookup>> {
        let bytes = bytes.0.unwrap_or(LOG_BYTES).min(wire::LOG_BYTES_MAX);
        let (controller_id, log) = caller.on(&self.0).session_log(id.0, bytes).await?;
        Ok(Json(SessionLog { session_id: id.0, controller_id, text: log.text, kept_bytes: log.kept_bytes }))
    }

    /// List persistent homes
    ///
    /// Requested from every controller that keeps homes. Users see only their own.
    #[oai(path = "/homes", method = "get", operation_id = "list_homes", tag = "Tag::Controllers")]
    async fn list(
        &self,
        caller: Caller,
        /// Filter by user.
        #[oai(validator(max_length = 255))]
        user_id: Query<Option<String>>,
    ) -> Result<Json<Homes>, Refused<Listing>> {
        let homes = caller.on(&self.0).homes(caller.0.owner(Action::ListHomes, user_id.0)?.as_deref()).await?;
        let item = |(controller_id, home): (String, wire::Home)| PersistentHome {
            controller_id,
            name: home.name,
            user_id: home.user_id,
            bytes: home.bytes,
            sessions: home.sessions,
        };
        let items = homes.homes.into_iter().map(item).collect();
        Ok(Json(Homes { items, truncated: homes.truncated, silent: homes.silent }))
    }

    /// Delete a persistent home
    ///
    /// Deletes all its files permanently. A home that a session uses, running or not, is never deleted: delete
    /// the sessions first. If a large one takes longer than 25 s the answer is 503, and the controller
    /// continues.
    #[oai(
        path = "/homes/:controller_id/:name",
        method = "delete",
        operation_id = "delete_home",
        tag = "Tag::Controllers"
    )]
    async fn delete(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        /// Its name, as in the list of homes.
        #[oai(validator(max_length = 255))]
        name: Path<String>,
    ) -> Result<Json<Deleted>, Refused<Removal>> {
        caller.on(&self.0).delete_home(&controller_id.0, &name.0).await?;
        tracing::info!(controller.id = controller_id.0, home.name = name.0, by = caller.0.name, "deleted a home");
        Ok(Json(Deleted { controller_id: controller_id.0, name: name.0 }))
    }
}

/// A deleted home.
#[derive(Debug, Object, Serialize)]
struct Deleted {
    /// The controller that kept it.
    controller_id: String,
    /// Its name on that controller.
    name: String,
}
