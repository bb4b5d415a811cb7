//! `controller.heartbeat`, `controller.sync` and `controller.world`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Object, SessionStatus};

/// A controller's own view of its health.
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
    /// The spelling of the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A controller's capacity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Capacity {
    /// Maximum number of sessions.
    pub sessions_max: u32,
    /// Present number of sessions.
    pub sessions: u32,
    /// Total memory in bytes, 0 if unknown.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Free memory in bytes, 0 if unknown.
    #[serde(default)]
    pub memory_free_bytes: u64,
    /// Total CPU in thousandths of a core, 0 if unknown.
    #[serde(default)]
    pub cpu_millis: u64,
    /// Number of simultaneous starts, 0 if unknown.
    #[serde(default)]
    pub slots: u32,
    /// Stops and deletes take none of its slots, nor does a start that only waits for readiness. False for
    /// controllers that do not set it: there every command takes a slot until it is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_pass: bool,
}

/// What a platform keeps of a session while it is hibernated, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Keeps {
    /// No files: only a persistent home survives.
    Nothing,
    /// Files below its home and the mount paths of its template.
    Paths,
    /// Every file.
    Filesystem,
}

impl Keeps {
    /// The spelling of the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Paths => "paths",
            Self::Filesystem => "filesystem",
        }
    }
}

/// `controller.heartbeat`. It has no `event_id`, because a newer one replaces an older one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// The controller.
    pub controller_id: String,
    /// The platform that it drives.
    pub platform: String,
    /// The controller's clock, for people only.
    pub timestamp: DateTime<Utc>,
    /// Its own view of its health.
    pub status: ControllerHealth,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Domains that it serves: `sessions`, `templates`, `nodes`, `applications`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Facts about the platform, for people.
    #[serde(default)]
    pub cluster_info: Object,
    /// 2 or more for the durable lane, absent for the core lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    /// The run of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<Uuid>,
    /// The platform instance that it drives (a state folder, a cluster); distinguishes two hosts with the same
    /// controller id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world_id: Option<Uuid>,
    /// Its capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Seconds between two heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,
    /// Labels for placement.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub labels: Object,
    /// Public key with which secrets for this controller are sealed, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing_key: Option<String>,
    /// Identifies the JSON Schema of the platform's block in templates (`spec.<platform>`), and changes when the schema
    /// does: 1 to 64 printable characters, such as a SHA-256. The engine asks for a schema that is new to it with
    /// `controller.ask`. Absent if templates of this platform cannot be validated in advance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_schema_hash: Option<String>,
    /// Attributes of the platform for people who choose one: `os`, `architecture`, `gpu`, `images` and others, as far as
    /// they are known.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub attributes: Object,
    /// What a session keeps while it is hibernated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<Keeps>,
}

/// `controller.sync`: a request for the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Sync {
    /// Identity of the request; the reply carries it as `sync_id`.
    pub event_id: Uuid,
    /// Time of the request.
    pub timestamp: DateTime<Utc>,
}

/// A session in a controller's inventory.
pub type WorldItem = SessionStatus;

/// `controller.world`: one page of a controller's inventory, in its report lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct World {
    /// Identity of this page.
    pub event_id: Uuid,
    /// The controller's clock, for people only.
    pub timestamp: DateTime<Utc>,
    /// The controller.
    pub controller_id: String,
    /// Its platform.
    pub platform: String,
    /// The same in all pages of one inventory: the `event_id` of the request, or one chosen by the controller
    /// at its start.
    pub sync_id: Uuid,
    /// The run of the reporting process.
    pub instance_id: Uuid,
    /// The platform instance of this inventory; it is ignored unless it is the one in charge of the controller's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world_id: Option<Uuid>,
    /// Number of the page, counted from 0.
    pub part: u32,
    /// The last page: what is in no page does not exist.
    pub last: bool,
    /// The range of ids that this page covers; without it only all pages together show what does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// The sessions that exist.
    pub sessions: Vec<WorldItem>,
}

/// A range of session ids, compared byte by byte. A page lists everything that exists in its range, so each
/// page stands alone, whoever reads the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Span {
    /// The first id of the range.
    pub from: Uuid,
    /// The first id after the range; without one it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Uuid>,
}

/// The reply to a heartbeat that was sent as a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct HeartbeatAnswer {
    /// Whether it was accepted. A controller whose heartbeat is refused must not work.
    pub accepted: bool,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether this engine also listens on each controller's own subject. Its refusal of a heartbeat on the shared
    /// subject then decides nothing: what it answers on the controller's own subject does.
    #[serde(default)]
    pub own_subjects: bool,
}
