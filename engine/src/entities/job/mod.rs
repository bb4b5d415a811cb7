//! The table `jobs`: actions on many things at once, and how far each has come.

mod noun;

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::store::canary::Canary;
use crate::verify::Scan;

/// The status of a job that stopped by itself and waits for an operator.
pub const HALTED: &str = "halted";

/// A job's row.
#[sea_orm::model]
#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "jobs")]
#[allow(missing_docs)] // the columns are described in the migration
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: Uuid,
    pub kind: String,
    pub status: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub filter: Json,
    pub force: bool,
    pub dry_run: bool,
    pub created_by: String,
    pub total: i64,
    pub done: i64,
    pub failed: i64,
    pub skipped: i64,
    #[sea_orm(column_type = "JsonBinary")]
    pub failures: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub outlook: Json,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub canary: Option<Json>,
    pub rate: Option<i64>,
    pub not_before_ms: Option<i64>,
    pub reason: Option<String>,
    pub cursor_ms: Option<i64>,
    pub cursor_id: Option<Uuid>,
    pub claimed_by: Option<Uuid>,
    pub claimed_until_ms: Option<i64>,
    pub entity_seq: i64,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub finished_ms: Option<i64>,
    #[serde(default)]
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub scan: Option<Json>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The name of a job in `event_log.entity`.
    #[must_use]
    pub fn entity(job_id: Uuid) -> String {
        format!("job:{job_id}")
    }

    /// Whether there is more to do.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// Its canary, where it has one and does not only try.
    #[must_use]
    pub fn canary(&self) -> Option<Canary> {
        let kept = self.canary.as_ref().filter(|_| !self.dry_run);
        kept.and_then(|kept| Canary::deserialize(kept).ok())
    }

    /// Items a second at most, where it is not to go as fast as it can.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        let rate = self.rate.filter(|_| !self.dry_run);
        rate.and_then(|rate| u64::try_from(rate).ok()).filter(|rate| *rate > 0)
    }

    /// Where its scan of the log stands; `None`: it is a walk over items.
    #[must_use]
    pub fn scan(&self) -> Option<Scan> {
        Scan::deserialize(self.scan.as_ref()?).ok()
    }

    /// The last item that was dealt with.
    #[must_use]
    pub fn cursor(&self) -> Option<(i64, Uuid)> {
        self.cursor_ms.zip(self.cursor_id)
    }
}
