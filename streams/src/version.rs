//! The version of a nats-server, and the least one that will do.

use std::fmt;

/// Priority groups with a pinned client, which active and standby controllers need, are trusted from here on.
pub const MINIMUM: Version = Version { major: 2, minor: 12, patch: 0 };

/// What a nats-server calls itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Version {
    /// Reads `2.15.1`, `v2.15.1`, `2.12.0-RC.1` and `nats-server: v2.15.1`.
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
