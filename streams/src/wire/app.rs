//! `app.install`, `app.uninstall`, `app.status`, `template.create` and `template.delete`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Failure;

/// The state of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names are the contract's
pub enum AppState {
    Pending,
    Installing,
    Ready,
    Uninstalling,
    Uninstalled,
    Failed,
}

impl AppState {
    /// All states, in the order of a life cycle.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Installing, Self::Ready, Self::Uninstalling, Self::Uninstalled, Self::Failed];

    /// The spelling of the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Installing => "installing",
            Self::Ready => "ready",
            Self::Uninstalling => "uninstalling",
            Self::Uninstalled => "uninstalled",
            Self::Failed => "failed",
        }
    }

    /// Looks up a state by its spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// `app.install`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[allow(missing_docs)] // the fields are the contract's sample
pub struct AppInstall {
    pub event_id: Uuid,
    pub timestamp: DateTime<Utc>,
    pub install_id: Uuid,
    pub catalog_template_id: i64,
    pub template_name: String,
    pub display_name: String,
    /// The template manifest as YAML.
    pub manifest: String,
    pub installed_by: String,
    pub platform: String,
    /// Grows with every change of the desired state.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// Number of the attempt, counted from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: i32,
}

/// `app.uninstall`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[allow(missing_docs)] // the fields are the contract's table
pub struct AppUninstall {
    pub event_id: Uuid,
    pub timestamp: DateTime<Utc>,
    pub install_id: Uuid,
    pub template_name: String,
    pub platform: String,
    /// Grows with every change of the desired state.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// Number of the attempt, counted from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: i32,
}

/// `app.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[allow(missing_docs)] // the fields are the contract's sample
pub struct AppStatus {
    pub event_id: Uuid,
    pub timestamp: DateTime<Utc>,
    pub install_id: Uuid,
    pub status: AppState,
    pub template_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The generation that this reports on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The `event_id` of the command that this reports on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The attempt that this reports on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// The reporting controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_id: Option<String>,
    /// The run of the reporting process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<Uuid>,
    /// Set if an attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

fn is_zero(number: &(impl PartialEq + Default)) -> bool {
    *number == Default::default()
}

/// `template.create`: a controller registers a template that it can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[allow(missing_docs)] // the fields are the contract's table
pub struct TemplateCreate {
    pub event_id: Uuid,
    pub timestamp: DateTime<Utc>,
    pub template_name: String,
    pub display_name: String,
    #[serde(default)]
    pub category: String,
    #[serde(default)]
    pub base_image: String,
    /// The template manifest as YAML.
    pub manifest: String,
    pub platform: String,
}

/// `template.delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[allow(missing_docs)] // the fields are the contract's table
pub struct TemplateDelete {
    pub event_id: Uuid,
    pub timestamp: DateTime<Utc>,
    pub template_name: String,
    pub platform: String,
}
