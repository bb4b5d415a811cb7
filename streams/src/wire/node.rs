//! `node.cordon`, `node.uncordon`, `node.drain` and `node.status`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Capacity;

/// The state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names are the contract's
pub enum NodeState {
    Ready,
    Cordoned,
    Draining,
    Drained,
}

/// `node.cordon`, `node.uncordon` and `node.drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct NodeCommand {
    /// Identity of the command.
    pub event_id: Uuid,
    /// When the intent was committed.
    pub timestamp: DateTime<Utc>,
    /// The platform's name of the node.
    pub node_name: String,
    /// For `node.drain`: time that its sessions have to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<u32>,
}

/// `node.status`: a controller's report on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct NodeStatus {
    /// Identity of the report.
    pub event_id: Uuid,
    /// The controller's clock, for people only.
    pub timestamp: DateTime<Utc>,
    /// The platform's name of the node.
    pub node_name: String,
    /// What the controller observed.
    pub status: NodeState,
    /// Number of sessions on it.
    #[serde(default)]
    pub sessions: u32,
    /// Its capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
}
