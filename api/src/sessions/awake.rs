//! Why a session is awake, and its extension.

use engine::FieldError;
use machine::session;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// Why a session is awake, and for how long.
#[derive(Debug, Object, Serialize)]
pub(super) struct Awake {
    /// What keeps it awake.
    reasons: Vec<AwakeReason>,
    /// When it is hibernated unless used; null while connections are open, or without an idle timeout.
    sleeps_at: Option<Timestamp>,
    /// When its maximum duration ends.
    expires_at: Option<Timestamp>,
    /// How far extensions can postpone its next stop; null if there is no stop, or its extensions are used up.
    extendable_until: Option<Timestamp>,
}

/// A reason why a session is awake.
#[derive(Debug, Object, Serialize)]
struct AwakeReason {
    /// `connections`, `activity`, `usage`, `started`, `extension`, `maximum_duration` or `no_idle_timeout`.
    kind: String,
    /// Description for people.
    detail: String,
    /// Start of the reason.
    since: Timestamp,
}

impl From<session::Awake> for Awake {
    fn from(awake: session::Awake) -> Self {
        let reason = |reason: session::Reason| AwakeReason {
            kind: reason.kind.to_owned(),
            detail: reason.detail,
            since: Timestamp::from_ms(reason.since_ms),
        };
        Self {
            reasons: awake.reasons.into_iter().map(reason).collect(),
            sleeps_at: awake.sleeps_at_ms.map(Timestamp::from_ms),
            expires_at: awake.expires_at_ms.map(Timestamp::from_ms),
            extendable_until: awake.extendable_until_ms.map(Timestamp::from_ms),
        }
    }
}

impl Example for Awake {
    fn example() -> Self {
        session::Awake {
            reasons: vec![session::Reason {
                kind: "connections",
                detail: "1 connection is open".into(),
                since_ms: 1_767_257_400_000,
            }],
            sleeps_at_ms: None,
            expires_at_ms: Some(1_767_283_209_000),
            extendable_until_ms: Some(1_767_312_009_000),
        }
        .into()
    }
}

/// An extension of a session.
#[derive(Debug, Object, Deserialize)]
#[oai(rename = "ExtendSession", example)]
#[serde(deny_unknown_fields)]
pub(super) struct Extension {
    /// How far to postpone its next stops, such as `30m`.
    by: String,
}

impl Example for Extension {
    fn example() -> Self {
        Self { by: "30m".into() }
    }
}

impl Extension {
    /// Mistakes in its values.
    pub(super) fn mistakes(&self) -> Vec<FieldError> {
        let wrong = streams::duration::parse(&self.by).err().map(|error| FieldError {
            field: "by".into(),
            rule: error.to_string(),
            hint: "write it as 90s, 30m or 1h30m".into(),
        });
        wrong.into_iter().collect()
    }

    pub(super) fn seconds(&self) -> i64 {
        let by = streams::duration::parse(&self.by).unwrap_or_default(); // validated before
        i64::try_from(by.as_secs()).unwrap_or(i64::MAX) // at most a year
    }
}
