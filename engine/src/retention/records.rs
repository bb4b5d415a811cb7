//! What happens to what operators are done with, when it is old: dead letters that were replayed or discarded, and jobs that ended.
//!
//! The record goes, and its log says so: what the log tells and what the tables have stays the same, and the log itself goes by its
//! own age.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Error, Keeper, due};
use crate::store::dead_letter;
use crate::writer::{Records, Work};

/// Letters, or jobs, of one round: a letter may have a megabyte.
const PAGE: u64 = 50;

impl Keeper {
    /// Takes away the next letters that are due; says whether there were any.
    pub(super) async fn letters(&mut self, now_ms: i64, before_ms: i64) -> Result<bool, Error> {
        let rows = due::closed(before_ms, PAGE).all(&self.parts.database.reader).await?;
        if let (Some(archive), false) = (&mut self.archive, rows.is_empty()) {
            archive.append(now_ms, "dead_letters", rows.iter().map(readable)).await?;
        }
        self.prune(Records::DeadLetters(rows.into_iter().map(|row| row.id).collect())).await
    }

    /// The same of jobs.
    pub(super) async fn jobs(&mut self, now_ms: i64, before_ms: i64) -> Result<bool, Error> {
        let rows = due::finished(before_ms, PAGE).all(&self.parts.database.reader).await?;
        if let (Some(archive), false) = (&mut self.archive, rows.is_empty()) {
            archive.append(now_ms, "jobs", rows.iter()).await?;
        }
        self.prune(Records::Jobs(rows.into_iter().map(|row| row.job_id).collect())).await
    }

    async fn prune(&self, records: Records) -> Result<bool, Error> {
        if records.ids().is_empty() {
            return Ok(false);
        }
        tracing::debug!(?records, "records that are old go");
        self.parts.writer.enqueue(Work::PruneRecords(records), None).await?;
        Ok(true)
    }
}

/// A letter's row, with its payload as base64.
fn readable(row: &dead_letter::Model) -> Value {
    let mut line = json!(row);
    line["payload"] = STANDARD.encode(&row.payload).into();
    line
}
