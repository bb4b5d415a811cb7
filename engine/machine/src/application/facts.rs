//! The facts of an application: what decisions are made on, and which of them the log remembers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use streams::wire::AppState;
use uuid::Uuid;

use crate::Lane;
use crate::command::Attempt;

/// What is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// Its template can be run.
    Installed,
    /// Nothing of it is left.
    Uninstalled,
}

impl Desired {
    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Uninstalled => "uninstalled",
        }
    }

    /// The desired state of a spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Installed, Self::Uninstalled].into_iter().find(|desired| desired.as_str() == name)
    }

    /// The state in which it holds.
    #[must_use]
    pub const fn goal(self) -> AppState {
        match self {
            Self::Installed => AppState::Ready,
            Self::Uninstalled => AppState::Uninstalled,
        }
    }
}

/// The facts of an application that decisions are made on. What is named as in `session::Session` means the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // as said
pub struct Application {
    pub install_id: Uuid,
    #[serde(rename = "install_status")]
    pub status: AppState,
    pub desired: Desired,
    pub generation: i64,
    pub controller_id: Option<String>,
    pub lane: Option<Lane>,
    pub reason: Option<String>,
    #[serde(rename = "install_message")]
    pub message: Option<String>,
    pub command_id: Option<Uuid>,
    pub command_verb: Option<String>,
    pub attempt: i32,
    pub starts: i32,
    pub starter: Option<Uuid>,
    pub next_attempt_ms: Option<i64>,
    /// That is its place in its owner's budget of retries.
    pub in_turn: bool,
    pub seen_generation: i64,
    pub seen_epoch: i64,
    pub seen_seq: i64,
    pub failures: Vec<Attempt>,
    /// Soft: when the open command's silence is looked into.
    pub deadline_ms: Option<i64>,
}

/// Names of the soft fields: neither logged nor folded.
pub const SOFT: [&str; 1] = ["deadline_ms"];

impl Application {
    pub(super) fn new(install_id: Uuid) -> Self {
        Self {
            install_id,
            status: AppState::Pending,
            desired: Desired::Installed,
            generation: 1,
            controller_id: None,
            lane: None,
            reason: None,
            message: None,
            command_id: None,
            command_verb: None,
            attempt: 0,
            starts: 0,
            starter: None,
            next_attempt_ms: None,
            in_turn: false,
            seen_generation: 0,
            seen_epoch: 0,
            seen_seq: 0,
            failures: Vec::new(),
            deadline_ms: None,
        }
    }

    /// The facts that are logged and folded: all but the soft ones, by the names of their columns.
    #[must_use]
    pub fn hard(&self) -> Map<String, Value> {
        let mut all = match serde_json::to_value(self) {
            Ok(Value::Object(all)) => all,
            _ => Map::new(),
        };
        all.retain(|name, _| !SOFT.contains(&name.as_str()));
        all
    }
}
