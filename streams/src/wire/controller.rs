//! `controller.heartbeat`, `controller.sync` and `controller.world`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Object, SessionStatus};

/// What a controller says of its own health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names are the contract's
pub enum ControllerHealth {
    Unknown,
    Healthy,
    Unhealthy,
}

impl ControllerHealth {
    /// The contract's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What a controller could still take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Capacity {
    /// Sessions that it will hold at most.
    pub sessions_max: u32,
    /// Sessions that it holds now.
    pub sessions: u32,
    /// Bytes of memory in all, 0 where unknown.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Bytes of memory free, 0 where unknown.
    #[serde(default)]
    pub memory_free_bytes: u64,
    /// Thousandths of a core in all, 0 where unknown.
    #[serde(default)]
    pub cpu_millis: u64,
    /// Starts that it makes at the same time, 0 where unknown.
    #[serde(default)]
    pub slots: u32,
    /// What stops or deletes takes none of its slots, and neither does a start that only waits for readiness. False from
    /// controllers that do not say it: there every command takes a slot until it is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_pass: bool,
}

/// `controller.heartbeat`. It has no `event_id`: a newer one replaces an older one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// Who.
    pub controller_id: String,
    /// The platform that it drives.
    pub platform: String,
    /// The controller's clock, for people only.
    pub timestamp: DateTime<Utc>,
    /// Its own word on its health.
    pub status: ControllerHealth,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Which domains it serves: `sessions`, `templates`, `nodes`, `applications`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The platform's own facts, for people.
    #[serde(default)]
    pub cluster_info: Object,
    /// 2 or more: the durable lane. Absent: the core lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    /// One run of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<Uuid>,
    /// The world it drives (a state folder, a cluster); tells two hosts that share one controller id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world_id: Option<Uuid>,
    /// What it could still take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Seconds between two heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,
    /// Labels for placement.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub labels: Object,
    /// Public key that secrets for this controller are sealed with, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing_key: Option<String>,
}

/// `controller.sync`: report all that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Sync {
    /// Identity of the request; the answer carries it as `sync_id`.
    pub event_id: Uuid,
    /// When it was asked.
    pub timestamp: DateTime<Utc>,
}

/// One session in a controller's world.
pub type WorldItem = SessionStatus;

/// `controller.world`: one part of all that exists, in the controller's report lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct World {
    /// Identity of this part.
    pub event_id: Uuid,
    /// The controller's clock, for people only.
    pub timestamp: DateTime<Utc>,
    /// Who.
    pub controller_id: String,
    /// Its platform.
    pub platform: String,
    /// The same in all parts of one answer: the `event_id` of the request, or one of the controller's own at its start.
    pub sync_id: Uuid,
    /// The reporting run.
    pub instance_id: Uuid,
    /// The world that is told of; one that is not in charge of the controller's id is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world_id: Option<Uuid>,
    /// Counts from 0.
    pub part: u32,
    /// The end marker: what was in no part does not exist.
    pub last: bool,
    /// Which ids this part tells of; without it only all parts together tell what does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What exists.
    pub sessions: Vec<WorldItem>,
}

/// A range of session ids, compared byte by byte. In it a part tells all that exists, so that each part stands for itself,
/// whoever reads the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Span {
    /// The first id of the range.
    pub from: Uuid,
    /// The first id after it; without one the range has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Uuid>,
}

/// What a heartbeat that was sent as a request is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct HeartbeatAnswer {
    /// It was taken. One that is refused must not work.
    pub accepted: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
