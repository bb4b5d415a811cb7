//! What happens to what operators are done with, when it is old: dead letters that were replayed or discarded, and jobs that ended.
//!
//! The record goes, and its log says so: what the log tells and what the tables have stays the same, and the log itself goes by its
//! own age.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Error, Keeper, due};
use crate::store::{dead_letter, job};
use crate::writer::{Hope, Records};

/// Letters, or jobs, of one round: a letter may have a megabyte.
const PAGE: u64 = 50;

impl Keeper {
    /// Takes away the next letters that are due; says whether there were any.
    pub(super) async fn letters(&mut self, now_ms: i64, before_ms: i64) -> Result<bool, Error> {
        let mut rows = due::closed(before_ms, PAGE).all(&self.parts.database.reader).await?;
        rows.retain(|row| !self.parts.stuck.is_passed_over(&dead_letter::Model::entity(row.id), now_ms));
        if let (Some(archive), false) = (&mut self.archive, rows.is_empty()) {
            archive.append(now_ms, "dead_letters", rows.iter().map(readable)).await?;
        }
        let ids: Vec<Uuid> = rows.into_iter().map(|row| row.id).collect();
        let each = ids.iter().map(|id| (dead_letter::Model::entity(*id), Records::DeadLetters(vec![*id]))).collect();
        self.prune(Records::DeadLetters(ids), each, now_ms).await
    }

    /// The same of jobs.
    pub(super) async fn jobs(&mut self, now_ms: i64, before_ms: i64) -> Result<bool, Error> {
        let mut rows = due::finished(before_ms, PAGE).all(&self.parts.database.reader).await?;
        rows.retain(|row| !self.parts.stuck.is_passed_over(&job::Model::entity(row.job_id), now_ms));
        if let (Some(archive), false) = (&mut self.archive, rows.is_empty()) {
            archive.append(now_ms, "jobs", rows.iter()).await?;
        }
        let ids: Vec<Uuid> = rows.into_iter().map(|row| row.job_id).collect();
        let each = ids.iter().map(|id| (job::Model::entity(*id), Records::Jobs(vec![*id]))).collect();
        self.prune(Records::Jobs(ids), each, now_ms).await
    }

    /// Takes records away together, or, where one of them can never go, each for itself.
    async fn prune(&self, records: Records, each: Vec<(String, Records)>, now_ms: i64) -> Result<bool, Error> {
        if records.ids().is_empty() {
            return Ok(false);
        }
        tracing::debug!(?records, "records that are old go");
        match self.parts.writer.enqueue(records, None).await {
            Err(error) if error.hope() != Hope::Passes => {}
            written => return Ok(written.map(|_| true)?),
        }
        for (about, record) in each {
            let written = self.parts.writer.enqueue(record, None).await;
            if !self.parts.stuck.settled(|| about, written, now_ms) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A letter's row, with its payload as base64.
fn readable(row: &dead_letter::Model) -> Value {
    let mut line = json!(row);
    line["payload"] = STANDARD.encode(&row.payload).into();
    line
}
