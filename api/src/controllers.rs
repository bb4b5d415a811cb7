//! Controllers: who runs sessions, and how they are.

use std::sync::Arc;

use engine::store::controller;
use engine::{Engine, queries};
use machine::Lane;
use machine::budget::{BURST, Budget, INTERVAL_MS};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Caller;
use crate::cursor::{Limit, Page, Wanted};
use crate::document::Tag;
use crate::json::Json;
use crate::operators::unsaid;
use crate::problem::{Listing, Lookup, Operation, Problem, Refused, database};
use crate::texts::Reason;
use crate::timestamp::Timestamp;

/// A controller as its heartbeats and its work show it.
#[derive(Debug, Object, Serialize)]
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
    /// How often what it owns is tried again.
    retry_budget: RetryBudget,
    /// Whether it may serve its platform. One that came when others served it waits until an operator admits it.
    admitted: bool,
    /// Whether its heartbeats come on a subject that names it, which permissions can hold; then others are refused.
    own_subject: bool,
    /// Heartbeats under its id that did not come from it; null where none were refused since it was last reset.
    impostors: Option<Impostors>,
    /// Taken out of service by an operator; its sessions move elsewhere.
    revoked: bool,
    /// Who, why and when, and the job that moves them.
    revocation: Option<Revocation>,
    /// Sessions that have moved on, and of which it has still to remove what it had.
    owed: i64,
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

/// Heartbeats that were refused, because they did not come from the host that the id belongs to.
#[derive(Debug, Object, Serialize)]
struct Impostors {
    /// How many.
    refused: i64,
    /// When the last one came.
    last_at: Option<Timestamp>,
    /// Why it was refused.
    reason: Option<String>,
}

/// How a controller came to be out of service.
#[derive(Debug, Object, Serialize)]
struct Revocation {
    /// Who revoked it.
    by: String,
    /// Why.
    reason: String,
    /// When.
    at: Option<Timestamp>,
    /// The job that moves its sessions.
    job_id: Option<Uuid>,
}

/// A circuit breaker: what it counts, where it stands, and who put it there.
#[derive(Debug, Object, Serialize)]
struct Breaker {
    /// `closed`, `open` or `half_open`: then one command is let through, as a probe.
    state: String,
    /// Held by an operator: it stays so until it is released.
    held: bool,
    /// Since when.
    since: Option<Timestamp>,
    /// Who put it there, where it is open or held: `failures`, or `operator:<name>`.
    opened_by: Option<String>,
    /// Why: the last error, or what the operator said.
    reason: Option<String>,
    /// Failures of starts since the last one that ended well; those that users caused never count.
    failures: i32,
    /// Distinct sessions and applications among them, as far as they are remembered (32).
    failing: i32,
    /// The failures by kind.
    kinds: FailureKinds,
    /// Distinct sessions whose starts failed, of two templates or of one that has run there before, at which it opens; it also opens
    /// at two failures that the controller puts down to its platform. What ends something never counts.
    threshold: i32,
    /// How often it has opened since it was closed; each time it waits longer.
    trips: i32,
    /// When a probe may go next, where it is open and not held.
    retry_at: Option<Timestamp>,
    /// The command that is the probe.
    probe: Option<Uuid>,
}

/// Failures since the last success.
#[derive(Debug, Object, Serialize)]
struct FailureKinds {
    /// The driver said that it could not.
    driver: i32,
    /// The controller said that its platform is at fault.
    platform: i32,
    /// It was not done in time.
    timeout: i32,
    /// Heartbeats stayed away, or a command was taken and never answered.
    unreachable: i32,
}

/// How often a controller's sessions and applications are tried again, all together.
#[derive(Debug, Object, Serialize)]
struct RetryBudget {
    /// Retries that could go at once.
    left: i64,
    /// The most that it can be.
    burst: i64,
    /// How many come back in a second.
    per_second: f64,
    /// When the next retry can go, where none can now.
    next_at: Option<Timestamp>,
}

impl From<machine::breaker::Breaker> for Breaker {
    fn from(breaker: machine::breaker::Breaker) -> Self {
        let open = breaker.state == machine::breaker::State::Open;
        Self {
            state: breaker.state.as_str().to_owned(),
            held: breaker.held,
            since: breaker.since_ms.map(Timestamp::from_ms),
            opened_by: breaker.by,
            reason: breaker.reason,
            failures: breaker.kinds.total(),
            failing: i32::try_from(breaker.failing.len()).unwrap_or(i32::MAX),
            kinds: FailureKinds {
                driver: breaker.kinds.driver,
                platform: breaker.kinds.platform,
                timeout: breaker.kinds.timeout,
                unreachable: breaker.kinds.unreachable,
            },
            threshold: machine::breaker::THRESHOLD,
            trips: breaker.trips,
            retry_at: breaker.until_ms.filter(|_| open).map(Timestamp::from_ms),
            probe: breaker.probe,
        }
    }
}

impl RetryBudget {
    fn of(budget: Budget, now_ms: i64) -> Self {
        let next_ms = budget.next(now_ms);
        Self {
            left: budget.left(now_ms),
            burst: BURST,
            per_second: 1000.0 / INTERVAL_MS as f64,
            next_at: (next_ms > now_ms).then(|| Timestamp::from_ms(next_ms)),
        }
    }
}

impl Controller {
    /// As it is now.
    pub(crate) async fn now(engine: &Engine, row: controller::Model) -> Result<Self, Problem> {
        let owed = queries::owed(engine.reader()).await.map_err(database)?;
        Ok(Self::of(row, engine.now_ms().await.map_err(database)?, &owed))
    }

    fn of(row: controller::Model, now_ms: i64, owed: &[(String, i64)]) -> Self {
        let candidate = row.candidate("sessions", row.reported());
        let capacity = row.capacity();
        let interval = std::time::Duration::from_secs(u64::from(row.interval_seconds.unsigned_abs()));
        Self {
            accepting: candidate.ready,
            reason: candidate.reason,
            lane: lane(candidate.lane).to_owned(),
            sessions: capacity.map(|capacity| capacity.sessions),
            sessions_max: capacity.map(|capacity| capacity.sessions_max),
            breaker: row.breaker().into(),
            retry_budget: RetryBudget::of(row.budget(), now_ms),
            owed: owed.iter().find(|(id, _)| *id == row.controller_id).map_or(0, |(_, count)| *count),
            controller_id: row.controller_id,
            platform: row.platform,
            display_name: row.display_name,
            status: row.status.unwrap_or_else(|| "unknown".into()),
            version: row.version,
            capabilities: row.capabilities.and_then(|all| serde_json::from_value(all).ok()).unwrap_or_default(),
            cluster_info: row.cluster_info,
            labels: row.labels,
            admitted: row.admitted,
            own_subject: row.own_subject,
            impostors: (row.refused_beats > 0).then(|| Impostors {
                refused: row.refused_beats,
                last_at: row.refused_ms.map(Timestamp::from_ms),
                reason: row.refused_why,
            }),
            revoked: row.revoked,
            revocation: row.revoked.then(|| Revocation {
                by: row.revoked_by.unwrap_or_default(),
                reason: row.revoked_reason.unwrap_or_default(),
                at: row.revoked_ms.map(Timestamp::from_ms),
                job_id: row.revoked_job,
            }),
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
        let now_ms = self.0.now_ms().await.map_err(database)?;
        let owed = queries::owed(self.0.reader()).await.map_err(database)?;
        Ok(Json(wanted.page(rows, |row| row.controller_id.clone(), |row| Controller::of(row, now_ms, &owed))))
    }

    /// Read a controller
    #[oai(path = "/controllers/:controller_id", method = "get", operation_id = "get_controller")]
    async fn get(&self, _caller: Caller, controller_id: Path<String>) -> Result<Json<Controller>, Refused<Lookup>> {
        let row = queries::controller(self.0.reader(), &controller_id).await.map_err(database)?;
        let row = row.ok_or_else(|| Problem::not_found("controller", &controller_id.0))?;
        Ok(Json(Controller::now(&self.0, row).await?))
    }

    /// Remove a controller
    ///
    /// For one that is gone for good: it does not speak any more, or was never admitted, and no session, application or clean-up
    /// depends on it. Its consumer goes, too; its log stays. The answer is the controller as it was. One that speaks again is a
    /// newcomer.
    #[oai(path = "/controllers/:controller_id", method = "delete", operation_id = "remove_controller")]
    async fn remove(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        /// Why, for whoever asks later: 1 to 500 characters.
        reason: Query<Option<Reason>>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let reason = reason.0.map_or_else(|| "removed by an operator".to_owned(), |Reason(reason)| reason);
        let mistakes = unsaid(&reason);
        if !mistakes.is_empty() {
            return Err(Problem::invalid(mistakes).into());
        }
        let row = self.0.remove(&controller_id, reason, caller.0.name).await?;
        Ok(Json(Controller::now(&self.0, row).await?))
    }
}
