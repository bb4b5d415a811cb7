//! A template's manifest as a session keeps it: what it was made of, whatever becomes of the template.

use std::sync::Arc;

use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// A pinned manifest. It stays the text that it is and is shared, because hardly anybody who has the row looks into it.
#[derive(Debug, Clone, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(transparent)]
pub struct Pinned(Arc<RawValue>);

impl Pinned {
    /// Of a manifest that was checked.
    #[must_use]
    pub fn new(manifest: &Value) -> Self {
        Self(to_raw_value(manifest).unwrap_or_default().into()) // a `Value` is always JSON
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> Value {
        serde_json::from_str(self.0.get()).unwrap_or_default() // it was JSON when it came
    }
}

impl PartialEq for Pinned {
    /// By what it says: PostgreSQL keeps another text of it than it was given.
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get() || self.manifest() == other.manifest()
    }
}
