//! Controllers: their platforms and their health.

use std::sync::Arc;

use engine::Engine;
use engine::store::controller;
use engine::use_cases::{Seek, Surroundings, UseCases};
use machine::Lane;
use machine::budget::{BURST, Budget, INTERVAL_MS};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Caller;
use crate::cursor::{Limit, LivePage, Window};
use crate::document::Tag;
use crate::json::Json;
use crate::operators::unsaid;
use crate::param_types::Reason;
use crate::problem::{Listing, Lookup, Operation, Problem, Refused};
use crate::timestamp::Timestamp;

/// A controller, as seen from its heartbeats and its work.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Controller {
    /// Identity.
    controller_id: String,
    /// Platform that it drives.
    platform: String,
    /// Display name.
    display_name: Option<String>,
    /// `healthy`, `unhealthy` or `unknown`.
    status: String,
    /// Whether it gets new work.
    accepting: bool,
    /// Why it gets no new work.
    reason: Option<String>,
    /// Its version.
    version: Option<String>,
    /// `durable` (through JetStream) or `core` (plain NATS).
    lane: String,
    /// Domains that it serves.
    capabilities: Vec<String>,
    /// Facts about its platform.
    cluster_info: Option<Value>,
    /// Number of its sessions, from its last heartbeat.
    sessions: Option<u32>,
    /// Maximum number of its sessions.
    sessions_max: Option<u32>,
    /// Labels for placement.
    labels: Value,
    /// Its circuit breaker.
    breaker: Breaker,
    /// Its retry budget.
    retry_budget: RetryBudget,
    /// Whether it may serve its platform. A new controller on a platform that others serve has to be admitted
    /// by an operator.
    admitted: bool,
    /// Whether its heartbeats use a subject that names it, which NATS permissions can restrict; others are
    /// refused then.
    own_subject: bool,
    /// Refused heartbeats under its id that came from elsewhere; null if none since its last reset.
    impostors: Option<Impostors>,
    /// Taken out of service by an operator; its sessions are moved.
    revoked: bool,
    /// Who revoked it, why and when, and the job that moves its sessions.
    revocation: Option<Revocation>,
    /// Pending clean-ups: sessions that moved elsewhere, and that it still has to remove.
    owed: i64,
    /// The run of its process.
    instance_id: Option<Uuid>,
    /// The platform instance that it drives.
    world_id: Option<Uuid>,
    /// Time between two heartbeats.
    heartbeat_interval: String,
    /// Time of its last heartbeat.
    last_heartbeat: Option<Timestamp>,
    /// Time of its first heartbeat.
    created_at: Option<Timestamp>,
    /// When its row last changed.
    updated_at: Option<Timestamp>,
}

/// Heartbeats that were refused because they did not come from the host that owns the id.
#[derive(Debug, Object, Serialize)]
struct Impostors {
    /// Number of refused heartbeats.
    refused: i64,
    /// Time of the last one.
    last_at: Option<Timestamp>,
    /// Why it was refused.
    reason: Option<String>,
}

/// The revocation of a controller.
#[derive(Debug, Object, Serialize)]
struct Revocation {
    /// Operator who revoked it.
    by: String,
    /// Reason given by the operator.
    reason: String,
    /// Time of the revocation.
    at: Option<Timestamp>,
    /// The job that moves its sessions.
    job_id: Option<Uuid>,
}

/// A circuit breaker: its state, its cause and its counters.
#[derive(Debug, Object, Serialize)]
struct Breaker {
    /// `closed`, `open`, or `half_open`, which lets one command through as a probe.
    state: String,
    /// Held by an operator until it is released.
    held: bool,
    /// Time of the last change.
    since: Option<Timestamp>,
    /// Who opened or held it: `failures`, or `operator:<name>`.
    opened_by: Option<String>,
    /// The last error, or the operator's reason.
    reason: Option<String>,
    /// Failed starts since the last good one; user errors never count.
    failures: i32,
    /// Distinct sessions and applications among them, as far as they are remembered (32).
    failing: i32,
    /// The failures by kind.
    kinds: FailureKinds,
    /// Number of distinct sessions with failed starts, of two templates or of one that has run there before, at
    /// which it opens; it also opens at two failures that the controller attributes to its platform. Deletes
    /// and hibernates never count.
    threshold: i32,
    /// How often it has opened since it was last closed; each time it stays open longer.
    trips: i32,
    /// When the next probe is possible, if it is open and not held.
    retry_at: Option<Timestamp>,
    /// The command that serves as the probe.
    probe: Option<Uuid>,
}

/// Failures since the last success, by kind.
#[derive(Debug, Object, Serialize)]
struct FailureKinds {
    /// Errors reported by the driver.
    driver: i32,
    /// Failures that the controller attributes to its platform.
    platform: i32,
    /// Time-outs.
    timeout: i32,
    /// Missing heartbeats, and commands that were taken and never answered.
    unreachable: i32,
}

/// The retry budget shared by everything that a controller owns.
#[derive(Debug, Object, Serialize)]
struct RetryBudget {
    /// Retries that could be made at once.
    left: i64,
    /// Maximum of `left`.
    burst: i64,
    /// Retries regained per second.
    per_second: f64,
    /// Time of the next retry, if none is possible now.
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
    /// The controller as it is now.
    pub(crate) async fn now(acting: &UseCases<'_>, row: controller::Model) -> Result<Self, Problem> {
        Ok(Self::of(row, &acting.surroundings().await?))
    }

    fn of(row: controller::Model, around: &Surroundings) -> Self {
        let Surroundings { now_ms, owed } = around;
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
            retry_budget: RetryBudget::of(row.budget(), *now_ms),
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
    /// All controllers that ever reported, by id.
    #[oai(path = "/controllers", method = "get", operation_id = "list_controllers")]
    async fn list(
        &self,
        caller: Caller,
        /// Filter by platform.
        platform: Query<Option<String>>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` or `prev_cursor` of another page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<LivePage<Controller>>, Refused<Listing>> {
        let acting = caller.on(&self.0);
        let window = Window::<String>::open(&acting, "controllers", &platform.0, limit.0, cursor.as_deref()).await?;
        // there are few, so the query itself is not paged
        let mut rows = acting.controllers().await?;
        rows.retain(|row| platform.as_ref().is_none_or(|platform| row.platform == *platform));
        rows.sort_by(|a, b| a.controller_id.cmp(&b.controller_id));
        match window.seek() {
            None => {}
            Some(Seek::After(id)) => rows.retain(|row| row.controller_id > id),
            Some(Seek::Before(id)) => {
                rows.retain(|row| row.controller_id < id);
                rows.reverse();
            }
        }
        let around = acting.surroundings().await?;
        Ok(Json(window.page(rows, |row| row.controller_id.clone(), |row| Controller::of(row, &around))))
    }

    /// Read a controller
    #[oai(path = "/controllers/:controller_id", method = "get", operation_id = "get_controller")]
    async fn get(&self, caller: Caller, controller_id: Path<String>) -> Result<Json<Controller>, Refused<Lookup>> {
        let acting = caller.on(&self.0);
        let row = acting.controller(&controller_id).await?;
        Ok(Json(Controller::now(&acting, row).await?))
    }

    /// Remove a controller
    ///
    /// For a controller that is gone: it sends no heartbeats any more, or was never admitted, and no session,
    /// application or clean-up depends on it. Its consumer is removed with it; its log stays. The answer shows
    /// it as it was. If it sends a heartbeat again, it is a new controller.
    #[oai(path = "/controllers/:controller_id", method = "delete", operation_id = "remove_controller")]
    async fn remove(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        /// Reason, kept in the log: 1 to 500 characters.
        reason: Query<Option<Reason>>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let reason = reason.0.map_or_else(|| "removed by an operator".to_owned(), |Reason(reason)| reason);
        let mistakes = unsaid(&reason);
        if !mistakes.is_empty() {
            return Err(Problem::invalid(mistakes).into());
        }
        let acting = caller.on(&self.0);
        let row = acting.remove(&controller_id, reason).await?;
        Ok(Json(Controller::now(&acting, row).await?))
    }
}
