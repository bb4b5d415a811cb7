//! `session.create`, `session.wake`, `session.delete`, `session.hibernate` and `session.status`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Manifest, Object};

/// Where a session stands. Spelled on the wire and in SQL as [`SessionState::as_str`].
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
    /// Every state, in the order of a life.
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

    /// The contract's spelling.
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

    /// The state of a spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// What a session may use, as Kubernetes quantities (`2Gi`, `1000m`).
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

/// `session.create` and `session.wake`: everything that a controller needs to make the session run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct SessionCreate {
    /// Identity of the command; reports name it as `causation_id`.
    pub event_id: Uuid,
    /// When the intent was committed.
    pub timestamp: DateTime<Utc>,
    /// The session.
    pub session_id: Uuid,
    /// Who it is for.
    pub user_id: String,
    /// Name of the template.
    pub template_id: String,
    /// Where it is to run.
    pub platform: String,
    /// What it may use.
    #[serde(default)]
    pub resources: Resources,
    /// The home is the user's and outlives the session; else it is scratch, and lives until the session is deleted.
    /// Hibernation keeps either.
    #[serde(default)]
    pub persistent_home: bool,
    /// Idle time after which the engine hibernates it, as a duration (`30m`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<String>,
    /// What the caller attached.
    #[serde(default)]
    pub metadata: Object,
    /// The template as it was when the session was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Manifest>,
    /// The session's generation; a controller echoes it, and ignores commands older than what it has seen.
    #[serde(default)]
    pub generation: i64,
    /// Counts from 1; grows with every re-drive of the same command.
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
    /// Who it is for.
    pub user_id: String,
    /// Where it runs.
    pub platform: String,
    /// Delete without a graceful stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// The session's generation.
    #[serde(default)]
    pub generation: i64,
    /// Counts from 1; grows with every re-drive of the same command.
    #[serde(default)]
    pub attempt: i32,
}

/// What a failure says something about: how far to expect the same of other work on the same controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This session alone: its home, its data, its process.
    Session,
    /// Every session of this template: its image, its command, its manifest.
    Template,
    /// Everything that this controller does: its host, its disk, its platform's API.
    Platform,
}

impl Scope {
    /// Every scope, the narrowest first.
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

    /// The scope of a spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A scope that only a newer peer knows counts as not said, so that its report can still be read.
fn known_scope<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Scope>, D::Error> {
    let name = Option::<std::borrow::Cow<'de, str>>::deserialize(from)?;
    Ok(name.as_deref().and_then(Scope::from_name))
}

/// Why an attempt failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct Failure {
    /// A stable word for machines: `image_not_found`, `no_capacity`, `timeout`, ...
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether another attempt may succeed without anybody changing anything.
    pub retryable: bool,
    /// Whether the one who asked is at fault (a bad image, a bad command); such a failure never opens a breaker.
    #[serde(default)]
    pub user_error: bool,
    /// What it says something about; absent from controllers that do not know.
    #[serde(default, deserialize_with = "known_scope", skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

impl Failure {
    /// The same failure with its scope.
    #[must_use]
    pub fn of(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }
}

/// `session.status`: what a controller says about one session.
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
    /// The platform's own word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Where a browser reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The platform's name of what runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it uses now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_usage: Option<Resources>,
    /// Open connections to the session's port, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// The generation of the command that this reports on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The `event_id` of the command that this reports on; none where the world changed by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The attempt that this reports on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// Who reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_id: Option<String>,
    /// The reporting process's run, so that starts without ends can be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<Uuid>,
    /// Set where the attempt failed; `status` is then `failed`.
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
