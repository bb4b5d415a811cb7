//! The failures that a breaker remembers: their kinds, their number, and what failed.

use serde::{Deserialize, Serialize};
use streams::wire::Scope;
use uuid::Uuid;

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The driver reported an error.
    Driver,
    /// It was not done in time.
    Timeout,
    /// Heartbeats are missing, or a command was taken and never answered.
    Unreachable,
    /// The controller attributes it to its platform.
    Platform,
}

impl Kind {
    /// The kind of a reported failure, by its scope and code.
    #[must_use]
    pub fn of(scope: Option<Scope>, code: &str) -> Self {
        match code {
            _ if scope == Some(Scope::Platform) => Self::Platform,
            "timeout" | "no_report" => Self::Timeout,
            _ => Self::Driver,
        }
    }

    /// The spelling in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Platform => "platform",
        }
    }
}

/// Number of failures since the last success, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the kinds' own
pub struct Kinds {
    pub driver: i32,
    pub timeout: i32,
    pub unreachable: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub platform: i32,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_zero(count: &i32) -> bool {
    *count == 0
}

/// A session or application that has failed here since the last good start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failing {
    /// The session or application.
    pub id: Uuid,
    /// Its template as `<name>@<version>`: a changed template counts as a different one that never ran.
    pub template: String,
    /// What the newest error concerns, if its controller said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

impl Failing {
    pub(super) fn template_name(&self) -> &str {
        template_name(&self.template)
    }
}

/// The name of a template without its version.
#[must_use]
pub fn template_name(template: &str) -> &str {
    template.rsplit_once('@').map_or(template, |(name, _)| name)
}

impl Kinds {
    /// The sum of all kinds.
    #[must_use]
    pub const fn total(self) -> i32 {
        self.driver.saturating_add(self.timeout).saturating_add(self.unreachable).saturating_add(self.platform)
    }

    pub(super) fn count(&mut self, kind: Kind) {
        let one = match kind {
            Kind::Driver => &mut self.driver,
            Kind::Timeout => &mut self.timeout,
            Kind::Unreachable => &mut self.unreachable,
            Kind::Platform => &mut self.platform,
        };
        *one = one.saturating_add(1);
    }
}
