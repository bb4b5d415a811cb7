//! The table `templates`.

mod noun;

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// A template's row. A deleted one keeps its row, so that its catalog id is never given to another.
#[sea_orm::model]
#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "templates")]
#[allow(missing_docs)] // the columns are those of the manifest
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub catalog_template_id: i64,
    pub display_name: String,
    pub description: String,
    pub category: String,
    pub icon: Option<String>,
    pub base_image: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub manifest: Json,
    pub generation: i64,
    pub built_in: bool,
    /// Who wrote it: `operator`, `built_in`, `application:<id>`, `controller:<id>`, or `platform:<name>` for a controller of
    /// the core lane.
    pub source: String,
    pub deleted: bool,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub entity_seq: i64,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The name of a template in `event_log.entity`.
    #[must_use]
    pub fn entity(name: &str) -> String {
        format!("template:{name}")
    }
}
