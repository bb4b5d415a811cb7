//! `app.install`, `app.uninstall`, `app.status`, `template.create` and `template.delete`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where an application stands.
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
