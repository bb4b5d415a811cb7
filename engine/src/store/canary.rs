//! The canary of a job: the few items that go first, and what became of them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How far a canary is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its items are done.
    #[default]
    Trying,
    /// Its items were done, and have not all ended.
    Waiting,
    /// All of them ended well.
    Passed,
    /// One of them failed again.
    Failed,
}

impl Stage {
    /// The spelling in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Waiting => "waiting",
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }
}

/// A job's canary, as its row keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// How many go first.
    pub size: u64,
    /// How far it is.
    pub stage: Stage,
    /// Those that went.
    pub tries: Vec<Try>,
}

impl Canary {
    /// Of this many.
    #[must_use]
    pub const fn of(size: u64) -> Self {
        Self { size, stage: Stage::Trying, tries: Vec::new() }
    }

    /// How many are still to go.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.size.saturating_sub(self.tries.len() as u64)
    }
}

/// One item that went first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// The dead letter.
    pub letter: Uuid,
    /// When it went.
    pub at_ms: i64,
    /// As what.
    pub sent: Sent,
    /// What became of it: `completed`, `failed`, or where it is on its way.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
}

impl Try {
    /// Whether it failed again.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.outcome == "failed"
    }

    /// Whether nothing more will become of it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_failed() || self.outcome == "completed"
    }
}

/// What a replay became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sent {
    /// A new command.
    Command(Uuid),
    /// A message.
    Message {
        /// The stream that took it.
        stream: String,
        /// Its sequence there.
        sequence: u64,
    },
}
