//! Versions of nats-server, and the minimum that is required.

use std::fmt;

/// The minimum: priority groups with a pinned client, which active and standby controllers need, are reliable
/// from here on.
pub const MINIMUM: Version = Version { major: 2, minor: 12, patch: 0 };

/// A version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Patch number.
    pub patch: u32,
}

impl Version {
    /// Parses `2.15.1`, `v2.15.1`, `2.12.0-RC.1` and `nats-server: v2.15.1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.split_whitespace().last()?.trim_start_matches('v');
        let mut numbers = word.split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
        Some(Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next().flatten().unwrap_or(0) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
