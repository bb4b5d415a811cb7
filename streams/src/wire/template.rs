//! The template manifest, which describes what a session runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Object, Resources, heading,
    local::{self, HomeUse, Liveness, Restart, Stop},
};
use crate::{duration, limits, quantity};

/// The only supported `apiVersion`.
pub const API_VERSION: &str = "stream.space/v1alpha1";

/// The only supported `kind`.
pub(super) const KIND: &str = "Template";

/// A manifest document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `Template`.
    pub kind: String,
    /// Its name.
    pub metadata: ManifestMetadata,
    /// The description.
    pub spec: TemplateSpec,
}

/// The name of a manifest; other fields (`namespace`, labels) are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
pub struct ManifestMetadata {
    /// The template's name, which sessions refer to as `template_id`.
    pub name: String,
    /// Other fields, unchanged.
    #[serde(flatten)]
    pub extra: Object,
}

/// A manifest's `spec`. Unknown fields are kept in `extra` with a warning, never refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the fields are the contract's
pub struct TemplateSpec {
    pub display_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_resources: Option<Resources>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Spelled `kasmvnc` in public catalogs.
    #[serde(default, alias = "kasmvnc", skip_serializing_if = "Option::is_none")]
    pub vnc: Option<Vnc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webapp: Option<Webapp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// CPU percentage from which a session counts as in use; 0 means never. See [`crate::usage`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_cpu_percent: Option<u8>,
    /// Settings for the platform `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Local>,
    /// Fields unknown to this version, such as the blocks of other platforms.
    #[serde(flatten)]
    pub extra: Object,
}

/// A port of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the fields are the contract's
pub struct Port {
    #[serde(default)]
    pub name: String,
    pub container_port: u16,
    #[serde(default = "tcp")]
    pub protocol: String,
}

fn tcp() -> String {
    "TCP".into()
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[allow(missing_docs)] // the fields are the contract's
pub struct EnvVar {
    pub name: String,
    #[serde(default)]
    pub value: String,
}

/// A volume and its mount path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the fields are the contract's
pub struct VolumeMount {
    pub name: String,
    pub mount_path: String,
    #[serde(flatten)]
    pub extra: Object,
}

/// A remote desktop in the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[allow(missing_docs)] // the fields are the contract's
pub struct Vnc {
    #[serde(default)]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<bool>,
    #[serde(flatten)]
    pub extra: Object,
}

/// A web application in the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the fields are the contract's
pub struct Webapp {
    #[serde(default)]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<String>,
    #[serde(flatten)]
    pub extra: Object,
}

/// Settings of the platform `local`, on which a session is a process on the controller's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Local {
    /// Program and arguments; `${PORT}`, `${HOME}` and `${STREAMSPACE_BIN}` are replaced.
    pub command: Vec<String>,
    /// When the session counts as running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// Working directory; the default is its home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// How it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// How it is checked while it runs; without this and `webapp.healthCheck` it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Liveness>,
    /// Whether the controller restarts it when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// How its persistent home may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<HomeUse>,
}

/// A process is ready when its port answers; with a path, when that path answers below 500.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "asyncapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Readiness {
    /// HTTP path to request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Time limit, as a duration (`30s`, the default), at most 1 hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// Maximum time that a template may allow for readiness.
pub const MAX_READINESS: Duration = Duration::from_secs(3600);

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not YAML, or not a manifest. The message contains line and column.
    #[error("{0}")]
    Yaml(#[from] serde_saphyr::Error),
    /// A field breaks a rule.
    #[error("{field}: {rule}")]
    Field {
        /// Path of the field in the manifest.
        field: String,
        /// The rule that it breaks.
        rule: String,
    },
    /// There is no document.
    #[error("no document of kind Template was found")]
    Empty,
}

impl ManifestError {
    /// The error in one line, with its line in the text.
    #[must_use]
    pub fn in_text(&self, yaml: &str) -> String {
        match self {
            Self::Field { field, .. } => match super::line_of(yaml, field) {
                Some(line) => format!("line {line}: {self}"),
                None => self.to_string(),
            },
            // the first line has the position and the error; an excerpt follows
            other => other.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        }
    }
}

fn refuse<T>(field: &str, rule: impl Into<String>) -> Result<T, ManifestError> {
    Err(ManifestError::Field { field: field.into(), rule: rule.into() })
}

impl Manifest {
    /// Parses one or several YAML documents (JSON is YAML) and validates them.
    ///
    /// # Errors
    /// The first invalid document, with its line or field.
    pub fn parse_all(yaml: &str) -> Result<Vec<Self>, ManifestError> {
        let manifests = Self::read_all(yaml)?;
        manifests.iter().try_for_each(Self::check)?;
        Ok(manifests)
    }

    /// Parses and validates a JSON manifest.
    ///
    /// # Errors
    /// The mistake, with its field if known.
    pub fn from_json(document: serde_json::Value) -> Result<Self, ManifestError> {
        if let Some(mistake) = heading::mistake(&document) {
            return Err(mistake);
        }
        let manifest: Self = serde_json::from_value(document)
            .map_err(|error| ManifestError::Field { field: "manifest".into(), rule: error.to_string() })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Parses manifests that were accepted earlier, without today's rules.
    ///
    /// # Errors
    /// Not YAML, or not a manifest.
    pub fn read_all(yaml: &str) -> Result<Vec<Self>, ManifestError> {
        let manifests: Result<Vec<Self>, _> = serde_saphyr::from_multiple(yaml);
        let manifests = manifests.map_err(|error| heading::of_yaml(yaml).unwrap_or(ManifestError::Yaml(error)))?;
        if manifests.is_empty() { Err(ManifestError::Empty) } else { Ok(manifests) }
    }

    /// Validates what the types cannot express.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.api_version != API_VERSION {
            return refuse("apiVersion", format!("must be {API_VERSION:?}, not {:?}", self.api_version));
        }
        if self.kind != KIND {
            return refuse("kind", format!("must be {KIND:?}, not {:?}", self.kind));
        }
        check_name(&self.metadata.name)?;
        if self.spec.display_name.trim().is_empty() {
            return refuse("spec.displayName", "must not be empty");
        }
        if let Some(resources) = &self.spec.default_resources {
            check_resources(resources)?;
        }
        if self.spec.use_cpu_percent.is_some_and(|percent| percent > 100) {
            return refuse("spec.useCpuPercent", "must be between 0 and 100");
        }
        self.spec.local.as_ref().map_or(Ok(()), check_local)?;
        match limits::manifest(self).into_iter().next() {
            Some(breach) => refuse(&breach.field, breach.rule),
            None => Ok(()),
        }
    }

    /// Time that the template allows a start to become ready, at most [`MAX_READINESS`]. A start has this in
    /// addition to the usual time of a command, both at its controller and before the engine steps in.
    #[must_use]
    pub fn readiness_timeout(&self) -> Option<Duration> {
        let readiness = self.spec.local.as_ref()?.readiness.as_ref()?;
        let timeout = duration::parse(readiness.timeout.as_deref()?).ok()?;
        Some(timeout.min(MAX_READINESS)) // it may have been stored before there was a bound
    }

    /// The block of a platform, `spec.<platform>`; `None` if the template has none.
    #[must_use]
    pub fn block(&self, platform: &str) -> Option<serde_json::Value> {
        let block = match platform {
            "local" => self.spec.local.as_ref().and_then(|local| serde_json::to_value(local).ok()),
            _ => self.spec.extra.get(platform).cloned(),
        };
        block.filter(|block| !block.is_null())
    }

    /// Fields under `spec` that nothing interprets, for a warning: neither part of the contract nor the block of one of
    /// `platforms`.
    #[must_use]
    pub fn unknown_fields(&self, platforms: &[String]) -> Vec<String> {
        let known = |name: &&String| !platforms.contains(name);
        self.spec.extra.keys().filter(known).map(|name| format!("spec.{name}")).collect()
    }
}

fn check_name(name: &str) -> Result<(), ManifestError> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edges = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (1..=limits::TEMPLATE_NAME).contains(&name.len())
        && name.chars().all(legal)
        && name.starts_with(edges)
        && name.ends_with(edges)
    {
        return Ok(());
    }
    refuse(
        "metadata.name",
        format!("{name:?} must be 1 to 128 characters of a-z, 0-9, '-' and '.', with a letter or digit at both ends"),
    )
}

fn check_resources(resources: &Resources) -> Result<(), ManifestError> {
    if let Some(memory) = &resources.memory {
        quantity::bytes(memory).or_else(|e| refuse("spec.defaultResources.memory", e.to_string()))?;
    }
    if let Some(cpu) = &resources.cpu {
        quantity::millicores(cpu).or_else(|e| refuse("spec.defaultResources.cpu", e.to_string()))?;
    }
    Ok(())
}

fn check_local(local: &Local) -> Result<(), ManifestError> {
    if local.command.first().is_none_or(String::is_empty) {
        return refuse("spec.local.command", "must name a program");
    }
    let timeout = local.readiness.as_ref().and_then(|r| r.timeout.as_deref());
    if let Some(timeout) = timeout {
        let field = "spec.local.readiness.timeout";
        let timeout = duration::parse(timeout).or_else(|e| refuse(field, e.to_string()))?;
        if timeout > MAX_READINESS {
            let bound = duration::format(MAX_READINESS);
            let way_out = "use a shorter one, or let the program answer on its port while it is still starting";
            return refuse(field, format!("must be at most {bound}, not {}: {way_out}", duration::format(timeout)));
        }
    }
    local::check(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(timeout: &str) -> Result<Vec<Manifest>, ManifestError> {
        Manifest::parse_all(&format!(
            "{{apiVersion: {API_VERSION}, kind: Template, metadata: {{name: a}}, spec: {{displayName: A, \
             local: {{command: [x], readiness: {{timeout: {timeout}}}}}}}}}"
        ))
    }

    #[test]
    fn a_start_may_take_an_hour_to_become_ready_and_more_is_refused_with_field_bound_and_way_out() {
        let read = |timeout| template(timeout).ok().and_then(|all| all.first()?.readiness_timeout());
        assert_eq!((read("20m"), read("1h")), (Some(Duration::from_secs(1_200)), Some(MAX_READINESS)));
        for timeout in ["3601s", "2h", "100d"] {
            let refused = template(timeout).map_err(|error| error.to_string()).err().unwrap_or_default();
            let told = refused.contains("spec.local.readiness.timeout") && refused.contains("at most 1h");
            assert!(told && refused.contains("use a shorter one"), "{timeout}: {refused:?}");
        }
    }
}
