//! The facts of an application: what decisions are made on, and which of them the log remembers.

use serde::{Deserialize, Serialize};
use streams::wire::AppState;
use uuid::Uuid;

use crate::command::CommandState;
use crate::facts::facts;

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
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // as said
pub struct Application {
    pub install_id: Uuid,
    pub status: AppState,
    pub desired: Desired,
    /// Its open command, and its owner.
    pub command: CommandState,
}

facts!(Application:
    hard [install_id, status => "install_status", desired],
    message "install_message",
    soft []
);

impl Application {
    pub(super) const fn new(install_id: Uuid) -> Self {
        Self { install_id, status: AppState::Pending, desired: Desired::Installed, command: CommandState::new(1) }
    }
}
