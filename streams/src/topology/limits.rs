//! Size limits of the streams.
//!
//! A full stream refuses new messages, and their senders keep them and retry. There is no maximum age, which
//! would drop messages that nobody has read. A limit below what a stream holds drops nothing either; it refuses
//! until enough was read.

use std::time::Duration;

use super::{SS_COMMANDS, SS_REPORTS};

const MIB: u64 = 1024 * 1024;

/// The limits of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

impl Limits {
    /// Minimum size in bytes: twice the largest message of a server with default settings.
    pub const LEAST_BYTES: u64 = 2 * MIB;
    /// Minimum number of messages.
    pub const LEAST_MESSAGES: u64 = 16;
    /// Defaults for commands.
    pub const COMMANDS: Self = Self { bytes: 256 * MIB, messages: 1_000_000 };
    /// Defaults for reports.
    pub const REPORTS: Self = Self { bytes: 256 * MIB, messages: 1_000_000 };
    /// Defaults for dead letters.
    pub const DEAD_LETTERS: Self = Self { bytes: 128 * MIB, messages: 1_000_000 };
}

/// Limits and replication of the streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Copies of each message in a cluster: 1, 3 or 5.
    pub replicas: usize,
    /// Limits of the command stream.
    pub commands: Limits,
    /// Limits of the report stream.
    pub reports: Limits,
    /// Limits of the dead-letter stream.
    pub dead_letters: Limits,
    /// How long the server remembers message ids.
    pub duplicate_window: Duration,
    /// Start of the requesting engine, in milliseconds by the database's clock. If two engines request
    /// different limits, as during a roll, the later start wins.
    pub since_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replicas: 1,
            commands: Limits::COMMANDS,
            reports: Limits::REPORTS,
            dead_letters: Limits::DEAD_LETTERS,
            duplicate_window: Duration::from_secs(120),
            since_ms: 0,
        }
    }
}

impl Settings {
    pub(super) fn limits(&self, stream: &str) -> Limits {
        match stream {
            SS_COMMANDS => self.commands,
            SS_REPORTS => self.reports,
            _ => self.dead_letters,
        }
    }
}

/// The flag for a limit of a stream: `what` is `bytes` or `messages`.
#[must_use]
pub fn setting(stream: &str, what: &str) -> String {
    let stream = match stream {
        SS_COMMANDS => "commands",
        SS_REPORTS => "reports",
        _ => "dead-letters",
    };
    format!("--{stream}-max-{what}")
}
