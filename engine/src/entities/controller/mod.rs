//! The table `platform_controllers`.

mod noun;

use machine::Lane;
use machine::breaker::{Breaker, Kinds, RAN, State, template_name};
use machine::budget::Budget;
use machine::controller::Controller;
use machine::placement::{Candidate, lacks};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use streams::wire::{Capacity, ControllerHealth};

/// Beside what a heartbeat says of capacity: sessions that are in no table.
const FOREIGN: &str = "sessions_foreign";

/// A controller's row.
#[sea_orm::model]
#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "platform_controllers")]
#[allow(missing_docs)] // the columns are described in the contract
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub controller_id: String,
    pub platform: String,
    pub display_name: Option<String>,
    pub status: Option<String>,
    pub version: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub capabilities: Option<Json>,
    #[sea_orm(column_type = "JsonBinary")]
    pub cluster_info: Option<Json>,
    pub last_heartbeat: Option<DateTimeUtc>,
    pub created_at: Option<DateTimeUtc>,
    pub updated_at: Option<DateTimeUtc>,
    pub protocol: i32,
    pub instance_id: Option<Uuid>,
    pub world_id: Option<Uuid>,
    #[sea_orm(column_type = "JsonBinary")]
    pub capacity: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub labels: Json,
    pub interval_seconds: i32,
    pub sealing_key: Option<String>,
    pub reason: Option<String>,
    pub breaker: String,
    pub breaker_failures: i32,
    pub breaker_until_ms: Option<i64>,
    #[serde(default)]
    pub breaker_since_ms: Option<i64>,
    #[serde(default)]
    #[sea_orm(column_type = "JsonBinary")]
    pub breaker_kinds: Json,
    #[serde(default)]
    pub breaker_trips: i32,
    #[serde(default)]
    pub breaker_probe: Option<Uuid>,
    #[serde(default)]
    pub breaker_held: bool,
    #[serde(default)]
    pub breaker_by: Option<String>,
    #[serde(default)]
    pub breaker_reason: Option<String>,
    #[serde(default)]
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub breaker_failing: Option<Json>,
    #[serde(default)]
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub breaker_ran: Option<Json>,
    #[serde(default)]
    pub retry_ms: i64,
    pub revoked: bool,
    #[serde(default = "admitted")]
    pub admitted: bool,
    #[serde(default)]
    pub own_subject: bool,
    #[serde(default)]
    pub refused_beats: i64,
    #[serde(default)]
    pub refused_ms: Option<i64>,
    #[serde(default)]
    pub refused_why: Option<String>,
    #[serde(default)]
    pub revoked_by: Option<String>,
    #[serde(default)]
    pub revoked_reason: Option<String>,
    #[serde(default)]
    pub revoked_ms: Option<i64>,
    #[serde(default)]
    pub revoked_job: Option<Uuid>,
    pub last_heartbeat_ms: i64,
    pub synced_instance: Option<Uuid>,
    pub entity_seq: i64,
    pub generation: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// Of rows that an engine of the version before kept under an idempotency key.
const fn admitted() -> bool {
    true
}

impl Model {
    /// The name of a controller in `event_log.entity`.
    #[must_use]
    pub fn entity(controller_id: &str) -> String {
        format!("controller:{controller_id}")
    }

    /// The facts that health is decided on.
    #[must_use]
    pub fn facts(&self) -> Controller {
        let status = match self.status.as_deref() {
            Some("healthy") => ControllerHealth::Healthy,
            Some("unhealthy") => ControllerHealth::Unhealthy,
            _ => ControllerHealth::Unknown,
        };
        Controller { status, reason: self.reason.clone(), breaker: self.breaker() }
    }

    /// The facts of its breaker.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        Breaker {
            state: State::from_name(&self.breaker),
            since_ms: self.breaker_since_ms,
            until_ms: self.breaker_until_ms,
            kinds: Kinds::deserialize(&self.breaker_kinds).unwrap_or_default(),
            trips: self.breaker_trips,
            probe: self.breaker_probe,
            held: self.breaker_held,
            by: self.breaker_by.clone(),
            reason: self.breaker_reason.clone(),
            failing: read(self.breaker_failing.as_ref()),
            ran: read(self.breaker_ran.as_ref()),
        }
    }

    /// Takes over decided facts; says whether anything changed.
    pub fn assume(&mut self, facts: &Controller) -> bool {
        if self.facts() == *facts {
            return false;
        }
        let breaker = &facts.breaker;
        self.status = Some(facts.status.as_str().into());
        self.reason.clone_from(&facts.reason);
        self.breaker = breaker.state.as_str().into();
        self.breaker_failures = breaker.kinds.total();
        self.breaker_until_ms = breaker.until_ms;
        self.breaker_since_ms = breaker.since_ms;
        self.breaker_kinds = serde_json::to_value(breaker.kinds).unwrap_or_default();
        self.breaker_trips = breaker.trips;
        self.breaker_probe = breaker.probe;
        self.breaker_held = breaker.held;
        self.breaker_by.clone_from(&breaker.by);
        self.breaker_reason.clone_from(&breaker.reason);
        self.breaker_failing = Some(serde_json::json!(breaker.failing));
        self.breaker_ran = Some(serde_json::json!(breaker.ran));
        true
    }

    /// How often what it owns is tried again.
    #[must_use]
    pub const fn budget(&self) -> Budget {
        Budget { spoken_for_ms: self.retry_ms }
    }

    /// How it is reached.
    #[must_use]
    pub fn lane(&self) -> Lane {
        if self.protocol >= 2 { Lane::Durable } else { Lane::Core }
    }

    /// The same; `None` while nobody knows, because an operator has reset it and it has not spoken since.
    #[must_use]
    pub fn known_lane(&self) -> Option<Lane> {
        (self.protocol > 0).then(|| self.lane())
    }

    /// Whether it may get new work.
    #[must_use]
    pub fn ready(&self) -> bool {
        let admits = match State::from_name(&self.breaker) {
            State::Closed => true,
            State::HalfOpen => self.breaker_probe.is_none(),
            State::Open => false,
        };
        self.admitted && !self.revoked && admits && self.status.as_deref() == Some(ControllerHealth::Healthy.as_str())
    }

    /// Whether it is no news that this template runs there, as [`machine::breaker::Failing::template`] names it: it is known, or so
    /// many are that it would not be remembered.
    #[must_use]
    pub fn has_run(&self, template: &str) -> bool {
        let ran = self.breaker_ran.as_ref().and_then(Json::as_array);
        let names = |one: &Json| one.as_str().map(template_name) == Some(template_name(template));
        ran.is_some_and(|ran| ran.iter().any(|one| one == template) || ran.len() >= RAN && !ran.iter().any(names))
    }

    /// Whether its breaker is closed and has nothing counted against it: then nothing that happens to a command changes it but a
    /// failure. Known without reading the counts, because every transaction asks it of every controller.
    #[must_use]
    pub fn at_ease(&self) -> bool {
        State::from_name(&self.breaker) == State::Closed && self.breaker_failures == 0
    }

    /// What it said it could take.
    #[must_use]
    pub fn capacity(&self) -> Option<Capacity> {
        serde_json::from_value(self.capacity.clone()).ok()
    }

    /// Sessions that it may hold; `None` where it did not say.
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.capacity().map(|capacity| capacity.sessions_max)
    }

    /// Sessions that it held with its last heartbeat and that are not in the tables: they take room, too.
    #[must_use]
    pub fn foreign(&self) -> u32 {
        let count = self.capacity[FOREIGN].as_u64().unwrap_or(0);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Sessions that it held with its last heartbeat.
    #[must_use]
    pub fn reported(&self) -> u32 {
        self.capacity().map_or(0, |capacity| capacity.sessions)
    }

    /// Works that out of its heartbeat and of how many sessions it has by the tables, asleep or awake.
    pub fn count_foreign(&mut self, living: u32) {
        if let Some(foreign) = self.capacity().map(|capacity| capacity.sessions.saturating_sub(living)) {
            self.capacity[FOREIGN] = foreign.into();
        }
    }

    /// What placement asks about it; `held` counts the places on it that are taken.
    #[must_use]
    pub fn candidate(&self, domain: &'static str, held: u32) -> Candidate {
        let ready = self.ready();
        let able = self.capabilities.as_ref().and_then(Json::as_array);
        Candidate {
            controller_id: self.controller_id.clone(),
            platform: self.platform.clone(),
            lane: self.lane(),
            ready,
            reason: if ready { None } else { self.why_not_ready() },
            able: able.is_none_or(|all| all.is_empty() || all.iter().any(|c| c == domain)),
            domain,
            unfit: None,
            load: held,
            room: self.limit().filter(|_| domain == "sessions"),
        }
    }

    /// The same for something that is to go only to who has these labels.
    #[must_use]
    pub fn candidate_for(&self, domain: &'static str, held: u32, selector: &Map<String, Json>) -> Candidate {
        Candidate { unfit: lacks(&self.labels, selector), ..self.candidate(domain, held) }
    }

    fn why_not_ready(&self) -> Option<String> {
        if !self.admitted {
            return Some(self.waits_for_admission());
        }
        if self.revoked {
            let why = self.revoked_reason.as_deref().unwrap_or("no reason was given");
            return Some(format!("revoked by {}: {why}", self.revoked_by.as_deref().unwrap_or("an operator")));
        }
        self.reason.clone().or_else(|| self.breaker().why_not())
    }

    /// Why one that was not admitted gets no work, and the way out.
    #[must_use]
    pub fn waits_for_admission(&self) -> String {
        let id = &self.controller_id;
        format!(
            "waits for an operator to admit it, because others serve platform {}: `streamspace controller admit {id}`",
            self.platform
        )
    }
}

/// A list as it was stored; what cannot be read is empty.
fn read<T: serde::de::DeserializeOwned>(list: Option<&Json>) -> Vec<T> {
    list.and_then(|list| Vec::deserialize(list).ok()).unwrap_or_default()
}
