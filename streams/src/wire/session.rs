//! `session.create`, `session.wake`, `session.delete`, `session.hibernate` and `session.status`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Manifest, Object};

/// The state of a session. Spelled on the wire and in SQL as [`SessionState::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names are the contract's
pub enum SessionState {
    Pending,
    Creating,
    Running,
    Hibernating,
    Hibernated,
    Waking,
    Deleting,
    Deleted,
    Failed,
}

impl SessionState {
    /// All states, in the order of a life cycle.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Creating,
        Self::Running,
        Self::Hibernating,
        Self::Hibernated,
        Self::Waking,
        Self::Deleting,
        Self::Deleted,
        Self::Failed,
    ];

    /// The spelling of the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Hibernating => "hibernating",
            Self::Hibernated => "hibernated",
            Self::Waking => "waking",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Failed => "failed",
        }
    }

    /// Looks up a state by its spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// Resource limits or usage, as Kubernetes quantities (`2Gi`, `1000m`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Resources {
    /// Memory as a quantity of bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// CPU as a quantity of cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
}

/// `session.create` and `session.wake`: everything that a controller needs to run the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct SessionCreate {
    /// Identity of the command; reports name it as `causation_id`.
    pub event_id: Uuid,
    /// When the intent was committed.
    pub timestamp: DateTime<Utc>,
    /// The session.
    pub session_id: Uuid,
    /// The user it is for.
    pub user_id: String,
    /// Name of the template.
    pub template_id: String,
    /// The platform that it runs on.
    pub platform: String,
    /// Its resource limits.
    #[serde(default)]
    pub resources: Resources,
    /// Use the user's home, which outlives the session; otherwise the home is removed with the session.
    /// Hibernation keeps either.
    #[serde(default)]
    pub persistent_home: bool,
    /// Idle time after which the engine hibernates it, as a duration (`30m`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<String>,
    /// The caller's metadata.
    #[serde(default)]
    pub metadata: Object,
    /// The template as it was when the session was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Manifest>,
    /// The session's generation; a controller echoes it, and ignores commands older than the newest it has seen.
    #[serde(default)]
    pub generation: i64,
    /// Counts from 1; grows each time the command is sent again.
    #[serde(default)]
    pub attempt: i32,
}

/// `session.delete` and `session.hibernate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct SessionCommand {
    /// Identity of the command; reports name it as `causation_id`.
    pub event_id: Uuid,
    /// When the intent was committed.
    pub timestamp: DateTime<Utc>,
    /// The session.
    pub session_id: Uuid,
    /// The user it is for.
    pub user_id: String,
    /// The platform that it runs on.
    pub platform: String,
    /// Delete without a graceful stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// The session's generation.
    #[serde(default)]
    pub generation: i64,
    /// Counts from 1; grows each time the command is sent again.
    #[serde(default)]
    pub attempt: i32,
}

/// What a failure concerns, and so how far other work on the same controller is affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This session alone: its home, its data, its process.
    Session,
    /// All sessions of this template: its image, its command, its manifest.
    Template,
    /// All work of this controller: its host, its disk, its platform's API.
    Platform,
}

impl Scope {
    /// All scopes, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Session, Self::Template, Self::Platform];

    /// The spelling on the wire and in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Template => "template",
            Self::Platform => "platform",
        }
    }

    /// Looks up a scope by its spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A scope that this version does not know counts as absent, so that the report can still be read.
fn known_scope<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Scope>, D::Error> {
    let name = Option::<std::borrow::Cow<'de, str>>::deserialize(from)?;
    Ok(name.as_deref().and_then(Scope::from_name))
}

/// Why an attempt failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Failure {
    /// A machine-readable code: `image_not_found`, `no_capacity`, `timeout`, ...
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether another attempt may succeed although nothing is changed.
    pub retryable: bool,
    /// Whether the requester is at fault (a bad image, a bad command); such a failure never opens a breaker.
    #[serde(default)]
    pub user_error: bool,
    /// What it concerns; absent if the controller does not know.
    #[serde(default, deserialize_with = "known_scope", skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

impl Failure {
    /// Sets the scope.
    #[must_use]
    pub fn of(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }
}

/// `session.status`: a controller's report on one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct SessionStatus {
    /// Identity of the report; the same id is applied once.
    pub event_id: Uuid,
    /// The controller's clock, for people only.
    pub timestamp: DateTime<Utc>,
    /// The session.
    pub session_id: Uuid,
    /// What the controller observed.
    pub status: SessionState,
    /// The platform's own name for the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// URL of the session for a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The platform's name of the resource that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Present resource usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_usage: Option<Resources>,
    /// Open connections to the session's port, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// The generation of the command that this reports on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The `event_id` of the command that this reports on; absent for a change that no command caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The attempt that this reports on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// The reporting controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_id: Option<String>,
    /// The run of the reporting process, so that starts without an end can be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<Uuid>,
    /// Set if the attempt failed; `status` is `failed` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

#[cfg(test)]
mod tests {
    use super::{Failure, Scope};

    fn read(text: &str) -> Option<Failure> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn a_scope_is_spelled_as_in_the_contract() {
        for scope in Scope::ALL {
            let failure = Failure { code: "c".into(), ..Failure::default() }.of(scope);
            let text = serde_json::to_string(&failure).unwrap_or_default();
            assert!(text.contains(&format!(r#""scope":"{}""#, scope.as_str())), "{text}");
            assert_eq!(read(&text), Some(failure));
        }
    }

    #[test]
    fn a_scope_that_is_absent_or_unknown_is_not_said() {
        let plain = Failure { code: "c".into(), message: "m".into(), retryable: true, ..Failure::default() };
        assert!(!serde_json::to_string(&plain).unwrap_or_default().contains("scope"));
        for scope in ["", r#","scope":null"#, r#","scope":"galaxy""#] {
            let text = format!(r#"{{"code":"c","message":"m","retryable":true{scope}}}"#);
            assert_eq!(read(&text), Some(plain.clone()), "{text}");
        }
    }
}
