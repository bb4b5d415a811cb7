//! What is done to templates, and what comes of it.

use serde::{Deserialize, Serialize};
use streams::wire::Manifest;

/// A template to be written.
#[derive(Debug, Clone)]
pub enum TemplateWrite {
    /// Create it, or replace it where it differs.
    Put {
        /// As they came, checked. Either all are written or none.
        manifests: Vec<Manifest>,
        /// Shipped with this binary.
        built_in: bool,
    },
    /// Delete it; sessions keep what they were created with.
    Delete {
        /// Which.
        name: String,
    },
}

/// What came of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Written {
    /// It is new, or was deleted before.
    Created,
    /// It differed.
    Updated,
    /// It was the same.
    Unchanged,
    /// It is gone.
    Deleted,
}

impl Written {
    /// The spelling on the wire and in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// A template that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenTemplate {
    /// Its name.
    pub name: String,
    /// Its number in the catalog.
    pub catalog_template_id: i64,
    /// What came of it.
    pub written: Written,
    /// The category that it had before, where it lived.
    pub category_before: Option<String>,
}
