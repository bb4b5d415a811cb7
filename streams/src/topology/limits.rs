//! What the streams may hold.
//!
//! At its limit a stream refuses what is new, and whoever sent it keeps it and tries again. None has an age: an age takes away
//! what nobody has read yet. A limit below what a stream holds drops nothing either; it refuses until so much was read.

use std::time::Duration;

use super::{SS_COMMANDS, SS_REPORTS};

const MIB: u64 = 1024 * 1024;

/// What one stream may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

impl Limits {
    /// The least bytes that make sense: the largest message of a default server fits, twice.
    pub const LEAST_BYTES: u64 = 2 * MIB;
    /// The least messages that make sense.
    pub const LEAST_MESSAGES: u64 = 16;
    /// Commands, unless said otherwise.
    pub const COMMANDS: Self = Self { bytes: 256 * MIB, messages: 1_000_000 };
    /// Reports, unless said otherwise.
    pub const REPORTS: Self = Self { bytes: 256 * MIB, messages: 1_000_000 };
    /// Dead letters, unless said otherwise.
    pub const DEAD_LETTERS: Self = Self { bytes: 128 * MIB, messages: 1_000_000 };
}

/// Size and copies of the streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Copies of each message in a cluster: 1, 3 or 5.
    pub replicas: usize,
    /// Of the stream of commands.
    pub commands: Limits,
    /// Of the stream of reports.
    pub reports: Limits,
    /// Of the dead-letter stream.
    pub dead_letters: Limits,
    /// How long the server remembers message ids.
    pub duplicate_window: Duration,
    /// When whoever asks for this began, in milliseconds of the database's clock: of two engines that ask for different limits, as
    /// while one replaces the other, the one that began later is heard.
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

/// The flag that sets a limit of a stream: `what` is `bytes` or `messages`.
#[must_use]
pub fn setting(stream: &str, what: &str) -> String {
    let stream = match stream {
        SS_COMMANDS => "commands",
        SS_REPORTS => "reports",
        _ => "dead-letters",
    };
    format!("--{stream}-max-{what}")
}
