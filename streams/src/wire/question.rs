//! `controller.ask`: a question to one controller, through the engine. Request-reply on core NATS, in no
//! stream: it changes nothing that the engine keeps, and the requester can repeat it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Failure;

/// Maximum bytes of a log in one answer: even if JSON makes it six times as long, it fits into one message.
pub const LOG_BYTES_MAX: u32 = 128 << 10;
/// Maximum bytes of the JSON Schema of a platform's block in templates.
pub const SCHEMA_BYTES_MAX: usize = 64 << 10;
/// Maximum number of homes in one answer.
pub const HOMES_MAX: usize = 1000;
/// Maximum number of sessions listed per home.
pub const HOME_SESSIONS_MAX: usize = 100;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// The end of a session's standard output and error. Answered with `log`.
    Log {
        /// The session.
        session_id: Uuid,
        /// Maximum number of bytes, at most [`LOG_BYTES_MAX`].
        bytes: u32,
    },
    /// The persistent homes that the controller keeps. Answered with `homes`.
    Homes {
        /// Only homes of this user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
    },
    /// Delete a persistent home that no session uses. Answered without `error` if it is gone, even if it was
    /// gone before.
    DeleteHome {
        /// Its name, as in the list of homes.
        name: String,
    },
    /// The JSON Schema of the platform's block in templates, whose hash is in the heartbeat. Answered with
    /// `template_schema`.
    TemplateSchema,
}

/// The answer to a question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Answer {
    /// The answer to `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogEnd>,
    /// The answer to `homes`, by name; at most [`HOMES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homes: Option<Vec<Home>>,
    /// There are more homes than in this answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The answer to `template_schema`: at most [`SCHEMA_BYTES_MAX`] bytes, with references only into itself
    /// (`#/$defs/...`) and none that recurs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_schema: Option<serde_json::Value>,
    /// Why there is no answer: `not_found`, `home_in_use`, `not_supported`, or a code of the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// The end of a session's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct LogEnd {
    /// The end of its output; invalid UTF-8 is replaced.
    pub text: String,
    /// Number of bytes that are kept.
    pub kept_bytes: u64,
}

/// A persistent home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Home {
    /// Its name on this controller.
    pub name: String,
    /// Its owner; absent if no longer known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Size of its files in bytes; absent if there are too many to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The sessions that use it, running or not; at most [`HOME_SESSIONS_MAX`].
    #[serde(default)]
    pub sessions: Vec<Uuid>,
}
