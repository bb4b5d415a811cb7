//! The table `dead_letters`: the record of all that could not be processed.

mod noun;

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// A dead letter's row.
#[sea_orm::model]
#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "dead_letters")]
#[allow(missing_docs)] // the columns are described in docs/dead-letters.md
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub event_id: Option<Uuid>,
    pub source: String,
    pub subject: String,
    pub reason: String,
    pub error: String,
    pub payload: Vec<u8>,
    #[sea_orm(column_type = "JsonBinary")]
    pub headers: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub attempts: Json,
    pub entity: Option<String>,
    pub controller_id: Option<String>,
    pub platform: Option<String>,
    pub fingerprint: String,
    pub status: String,
    pub note: Option<String>,
    pub copied: bool,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub settled_by: Option<String>,
    pub entity_seq: i64,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub edit: Option<Json>,
    #[serde(default)]
    pub digest: Option<String>,
    #[serde(default)]
    pub count: i64,
    #[serde(default)]
    pub last_ms: Option<i64>,
    #[serde(default)]
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub repeats: Option<Json>,
    #[serde(default)]
    pub verified: bool,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The name of a letter in `event_log.entity`.
    #[must_use]
    pub fn entity(id: Uuid) -> String {
        format!("dead_letter:{id}")
    }
}
