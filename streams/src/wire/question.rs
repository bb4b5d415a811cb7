//! `controller.ask`: what a person asks of one controller, through the engine. Request-reply on core NATS, in no stream: it
//! changes nothing that the engine keeps, and whoever asked asks again.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Failure;

/// The most bytes of a log in one answer: as JSON at most six times as long, it still fits into one message.
pub const LOG_BYTES_MAX: u32 = 128 << 10;
/// The most homes in one answer.
pub const HOMES_MAX: usize = 1000;
/// The most sessions that are named with one home.
pub const HOME_SESSIONS_MAX: usize = 100;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// The end of what a session wrote to its standard output and error. Answered with `log`.
    Log {
        /// The session.
        session_id: Uuid,
        /// The most bytes to answer with, at most [`LOG_BYTES_MAX`].
        bytes: u32,
    },
    /// The persistent homes that the controller keeps. Answered with `homes`.
    Homes {
        /// Only those of this user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
    },
    /// Remove a persistent home that no session has. Answered without `error` when it is gone, also where it was before.
    DeleteHome {
        /// As a list of homes names it.
        name: String,
    },
}

/// What is answered; `error` says why there is nothing else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Answer {
    /// To `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogEnd>,
    /// To `homes`, by name; at most [`HOMES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homes: Option<Vec<Home>>,
    /// There are more homes than the answer holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Why not: `not_found`, `home_in_use`, `not_supported`, or the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// The end of a session's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct LogEnd {
    /// What it wrote last; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Bytes that are kept of it.
    pub kept_bytes: u64,
}

/// One persistent home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Home {
    /// Its name on this controller.
    pub name: String,
    /// Whose it is; absent where that is not known any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Bytes of its files; absent where it has too many to be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The sessions that have it, running or not; at most [`HOME_SESSIONS_MAX`].
    #[serde(default)]
    pub sessions: Vec<Uuid>,
}
