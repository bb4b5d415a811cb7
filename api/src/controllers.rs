//! Controllers: who runs sessions, and how they are.

use std::sync::Arc;

use engine::store::controller;
use engine::{Engine, queries};
use machine::Lane;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Caller;
use crate::cursor::{Limit, Page, Wanted};
use crate::document::Tag;
use crate::problem::{Listing, Lookup, Problem, Refused, database};
use crate::timestamp::Timestamp;

/// A controller as its heartbeats and its work show it.
#[derive(Debug, Object)]
pub(crate) struct Controller {
    /// Identity.
    controller_id: String,
    /// What it drives.
    platform: String,
    /// Its name for people.
    display_name: Option<String>,
    /// `healthy`, `unhealthy` or `unknown`.
    status: String,
    /// Whether it gets new work.
    accepting: bool,
    /// Why not.
    reason: Option<String>,
    /// Its version.
    version: Option<String>,
    /// `durable` (through JetStream) or `core` (plain NATS).
    lane: String,
    /// Which domains it serves.
    capabilities: Vec<String>,
    /// The platform's own facts.
    cluster_info: Option<Value>,
    /// Sessions that it holds, as it last said.
    sessions: Option<u32>,
    /// Sessions that it can hold.
    sessions_max: Option<u32>,
    /// For placement.
    labels: Value,
    /// Its circuit breaker.
    breaker: Breaker,
    /// Taken out of service by an operator.
    revoked: bool,
    /// One run of its process.
    instance_id: Option<Uuid>,
    /// The world that it drives.
    world_id: Option<Uuid>,
    /// Time between two heartbeats.
    heartbeat_interval: String,
    /// When it last spoke.
    last_heartbeat: Option<Timestamp>,
    /// When it first spoke.
    created_at: Option<Timestamp>,
    /// When its row last changed.
    updated_at: Option<Timestamp>,
}

/// A circuit breaker.
#[derive(Debug, Object)]
struct Breaker {
    /// `closed`, `open` or `half_open`.
    state: String,
    /// Failures in a row.
    failures: i32,
    /// When it is tried again.
    retry_at: Option<Timestamp>,
}

impl From<controller::Model> for Controller {
    fn from(row: controller::Model) -> Self {
        let candidate = row.candidate("sessions", 0);
        let capacity = row.capacity();
        let interval = std::time::Duration::from_secs(u64::from(row.interval_seconds.unsigned_abs()));
        Self {
            accepting: candidate.ready,
            reason: candidate.reason,
            lane: lane(candidate.lane).to_owned(),
            sessions: capacity.map(|capacity| capacity.sessions),
            sessions_max: capacity.map(|capacity| capacity.sessions_max),
            breaker: Breaker {
                state: row.breaker,
                failures: row.breaker_failures,
                retry_at: row.breaker_until_ms.map(Timestamp::from_ms),
            },
            controller_id: row.controller_id,
            platform: row.platform,
            display_name: row.display_name,
            status: row.status.unwrap_or_else(|| "unknown".into()),
            version: row.version,
            capabilities: row.capabilities.and_then(|all| serde_json::from_value(all).ok()).unwrap_or_default(),
            cluster_info: row.cluster_info,
            labels: row.labels,
            revoked: row.revoked,
            instance_id: row.instance_id,
            world_id: row.world_id,
            heartbeat_interval: streams::duration::format(interval),
            last_heartbeat: row.last_heartbeat.map(Into::into),
            created_at: row.created_at.map(Into::into),
            updated_at: row.updated_at.map(Into::into),
        }
    }
}

pub(crate) fn lane(lane: Lane) -> &'static str {
    lane.as_str()
}

pub(crate) struct Controllers(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl Controllers {
    /// List controllers
    ///
    /// Every one that ever reported, by its id.
    #[oai(path = "/controllers", method = "get", operation_id = "list_controllers")]
    async fn list(
        &self,
        _caller: Caller,
        /// Those of this platform.
        platform: Query<Option<String>>,
        /// Items on a page: 1 to 200, 50 unless given.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Controller>>, Refused<Listing>> {
        let wanted = Wanted::<String>::new("controllers", &platform.0, limit.0, cursor.as_deref())?;
        // there are few: the query has no pages of its own
        let mut rows = queries::controllers(self.0.reader()).await.map_err(database)?;
        rows.retain(|row| platform.as_ref().is_none_or(|platform| row.platform == *platform));
        rows.retain(|row| wanted.after.as_ref().is_none_or(|after| row.controller_id > *after));
        rows.sort_by(|a, b| a.controller_id.cmp(&b.controller_id));
        Ok(Json(wanted.page(rows, |row| row.controller_id.clone(), Into::into)))
    }

    /// Read a controller
    #[oai(path = "/controllers/:controller_id", method = "get", operation_id = "get_controller")]
    async fn get(&self, _caller: Caller, controller_id: Path<String>) -> Result<Json<Controller>, Refused<Lookup>> {
        let row = queries::controller(self.0.reader(), &controller_id).await.map_err(database)?;
        let row = row.ok_or_else(|| Problem::not_found("controller", &controller_id.0))?;
        Ok(Json(row.into()))
    }
}
