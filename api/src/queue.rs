//! The queue: what waits, for what, and why.

use std::sync::Arc;

use engine::Engine;
use engine::queue::{Place, QueueFilter, Sum, Waiting};
use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use crate::auth::Caller;
use crate::cursor::{Limit, Page, Wanted};
use crate::document::Tag;
use crate::json::Json;
use crate::problem::{Listing, Refused};
use crate::timestamp::Timestamp;

/// A command that was accepted and not begun by a controller.
#[derive(Debug, Object, Serialize)]
struct QueueEntry {
    /// The entity it is about, such as `session:<id>`.
    entity: String,
    /// Its user.
    user_id: String,
    /// Platform that will carry it out.
    platform: String,
    /// Controller that will carry it out, if chosen.
    controller_id: Option<String>,
    /// The command.
    command_id: Uuid,
    /// Its verb, such as `session.create`.
    verb: Option<String>,
    /// What it waits for: `place` (a controller that can take it), `room` (its own controller, which has its
    /// files, is full), `controller` (its own takes no work now), `retry` (the time of its next attempt),
    /// `turn` (its position in the outbox) or `delivery` (its controller to begin).
    waits_for: String,
    /// Why.
    reason: Option<String>,
    /// Its position in the fair order, from 1, among all that wait for the same controller, or for the same
    /// platform while there is none. It is an order and not a forecast: deletes go first, a newer command of a
    /// user with fewer requests may come before it, and what waits for a retry or a controller is passed by
    /// what can go.
    place: i64,
    /// Number of attempts so far.
    attempt: i32,
    /// Time of the next attempt, if one is due.
    next_attempt_at: Option<Timestamp>,
    /// When the command was accepted.
    since: Timestamp,
}

impl From<Waiting> for QueueEntry {
    fn from(row: Waiting) -> Self {
        Self {
            waits_for: row.waits_for().as_str().to_owned(),
            entity: format!("{}:{}", row.kind, row.id),
            user_id: row.user_id,
            platform: row.platform,
            controller_id: row.controller_id,
            command_id: row.command_id,
            verb: row.verb,
            reason: row.reason,
            place: row.place,
            attempt: row.attempt,
            next_attempt_at: row.next_attempt_ms.map(Timestamp::from_ms),
            since: Timestamp::from_ms(row.since_ms),
        }
    }
}

/// Number of commands with the same cause.
#[derive(Debug, Object, Serialize)]
struct QueueSum {
    /// Platform.
    platform: String,
    /// Controller, if chosen.
    controller_id: Option<String>,
    /// What they wait for, as in the queue.
    waits_for: String,
    /// Number of commands.
    count: i64,
    /// When the oldest of them was accepted.
    oldest_since: Timestamp,
}

impl From<Sum> for QueueSum {
    fn from(row: Sum) -> Self {
        Self {
            waits_for: row.waits_for().as_str().to_owned(),
            platform: row.platform,
            controller_id: row.controller_id,
            count: row.count,
            oldest_since: Timestamp::from_ms(row.oldest_ms),
        }
    }
}

pub(crate) struct Queue(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl Queue {
    /// List what waits
    ///
    /// Every command that was accepted and that no controller has begun, in the fair order of the outbox.
    #[oai(path = "/queue", method = "get", operation_id = "list_queue")]
    async fn list(
        &self,
        caller: Caller,
        /// Filter by platform.
        platform: Query<Option<String>>,
        /// Filter by controller.
        controller_id: Query<Option<String>>,
        /// Filter by user.
        user_id: Query<Option<String>>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<QueueEntry>>, Refused<Listing>> {
        let filter = QueueFilter { platform: platform.0, controller_id: controller_id.0, user_id: user_id.0 };
        let wanted = Wanted::<Place>::new("the queue", &filter, limit.0, cursor.as_deref())?;
        let rows = caller.on(&self.0).list_queue(&filter, wanted.after, wanted.fetch()).await?;
        Ok(Json(wanted.page(rows, Waiting::position, Into::into)))
    }

    /// Count what waits
    ///
    /// By platform, controller and cause.
    #[oai(path = "/queue/summary", method = "get", operation_id = "summarize_queue")]
    async fn summary(&self, caller: Caller) -> Result<Json<Page<QueueSum>>, Refused<Listing>> {
        let rows = caller.on(&self.0).queue_sums().await?;
        Ok(Json(Page { items: rows.into_iter().map(Into::into).collect(), next_cursor: None }))
    }
}
