//! What happens when a scan of the log has seen a page: the job is written with what it found, and, where that was asked for,
//! rows that differ are set to what their logs say.
//!
//! A repair folds the log again under the row's lock and says nothing that the log does not: its decision has the columns as they
//! were folded, and tells who asked, and what stood there. A log with a gap, or without its row, is never touched.

use sea_orm::ActiveValue::NotSet;
use sea_orm::{ActiveModelTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use streams::crash::{Moment, point};
use uuid::Uuid;

use super::Error;
use super::batch::Batch;
use super::job::{LEASE_MS, missing, not_yours};
use super::work::{Done, ScanStep};
use crate::entities::{Kind, Noun, nouns, session};
use crate::fold::{Folding, log};
use crate::store::event;
use crate::store::text::Body;
use crate::verify::{Column, Scan, What, difference};

/// The entities of a step that a repair may set right.
pub(super) fn mendable(step: &ScanStep) -> impl Iterator<Item = &str> {
    let differs = step.report.findings.iter().filter(|finding| finding.what == What::Differs);
    differs.filter(|_| step.repair).map(|finding| finding.entity.as_str())
}

impl Batch<'_> {
    /// Reads the logs of what may be repaired; their rows are locked by now.
    pub(super) async fn load_logs(&mut self, tx: &DatabaseTransaction, entities: Vec<String>) -> Result<(), DbErr> {
        for entity in entities {
            let mut folding = Folding::default();
            let whole = log(tx, &entity).await?;
            if whole
                .into_iter()
                .all(|row| folding.take(&entity, row.entity_seq, &row.subject, row.changes.map(Value::from)).is_ok())
            {
                self.logs.insert(entity, folding);
            }
        }
        Ok(())
    }

    pub(super) fn scanned(&mut self, step: &ScanStep, trace: Option<&str>) -> Result<Done, Error> {
        let row = &self.jobs.get(&step.id).ok_or_else(|| missing(step.id))?.row;
        let scan = row.scan().filter(|scan| scan.at == step.from);
        let Some(mut scan) = scan.filter(|_| row.is_running() && row.claimed_by == Some(step.runner)) else {
            return Err(not_yours(step.id));
        };
        let (by, mut seen) = (row.created_by.clone(), step.report.clone());
        for finding in seen.findings.iter_mut().filter(|finding| step.repair && finding.what == What::Differs) {
            match self.repair(&finding.entity, step.id, &by, trace) {
                Ok(()) => finding.repaired = true,
                Err(error) => finding.advice = format!("it was not repaired: {error}"),
            }
            seen.repaired += i64::from(finding.repaired);
        }
        point("job.step", Moment::During);
        scan.report.add(seen);
        scan.at.clone_from(&step.to);
        self.keep_scan(step.id, &scan)?;
        if step.to.is_none() { self.end_job(step.id, "completed", &by, trace) } else { self.job_row(step.id) }
    }

    fn keep_scan(&mut self, id: Uuid, scan: &Scan) -> Result<(), Error> {
        let now_ms = self.now_ms;
        let slot = self.jobs.get_mut(&id).ok_or_else(|| missing(id))?;
        let row = &mut slot.row;
        (row.done, row.failed) = (scan.report.events, scan.report.standing());
        row.scan = Some(json!(scan));
        row.claimed_until_ms = Some(now_ms + LEASE_MS);
        row.updated_ms = now_ms;
        slot.touch();
        Ok(())
    }

    /// Sets the row of an entity to what its log says, and logs what stood there.
    fn repair(&mut self, entity: &str, job: Uuid, by: &str, trace: Option<&str>) -> Result<(), Error> {
        let mut folding = self.logs.remove(entity).ok_or_else(|| unfit(entity, "its log has a gap"))?;
        for row in self.log.iter().filter(|row| row.entity == entity) {
            let taken = folding.take(entity, row.entity_seq, &row.subject, row.changes.clone().map(Body::into_tree));
            taken.map_err(|error| unfit(entity, &error.to_string()))?;
        }
        let last = folding.last().unwrap_or(0);
        let Some(columns) = self.set_right(entity, &folding.facts(), last)? else { return Ok(()) };
        let pick = |value: fn(&Column) -> &Value| -> Map<String, Value> {
            columns.iter().map(|column| (column.column.clone(), value(column).clone())).collect()
        };
        let (stood, mut changes) = (pick(|column| &column.row), pick(|column| &column.log));
        changes.remove("entity_seq");
        let subject = "streamspace.decision.repaired".to_owned();
        let mut row = self.log_row(event::Kind::Decision, Uuid::now_v7(), subject, entity.to_owned());
        row.payload = json!({ "decision": "repaired", "by": by, "job_id": job, "stood": stood,
            "reason": "the row was not what the log says" })
        .into();
        row.changes = Some(changes.into());
        row.entity_seq = last + 1;
        row.traceparent = trace.map(str::to_owned);
        self.log.push(row);
        Ok(())
    }

    /// Sets a row's columns to the facts and its place to one behind the log's; `None`: they agree by now.
    fn set_right(&mut self, entity: &str, facts: &Map<String, Value>, last: i64) -> Result<Option<Vec<Column>>, Error> {
        let (Some(kind), Some((_, key))) = (Kind::of(entity), entity.split_once(':')) else {
            return Err(unfit(entity, "it has no table"));
        };
        nouns!(of_kind(kind, N, self.mend::<N>(key, &Mend { entity, facts, last })))
    }

    fn mend<N: Noun>(&mut self, key: &str, mend: &Mend<'_>) -> Result<Option<Vec<Column>>, Error> {
        let gone = || unfit(mend.entity, "its row is gone");
        let (now_ms, key) = (self.now_ms, key.parse::<N::Key>().map_err(|_| gone())?);
        let row = N::row(self, &key).ok_or_else(gone)?;
        let Some(columns) = mend.row(row)? else { return Ok(None) };
        N::derive(row, now_ms);
        N::repaired(self, &key);
        self.outcome.wakes_at(Some(now_ms));
        Ok(Some(columns))
    }

    /// All columns of sessions that were set right; the usual update has only those that the machine changes.
    pub(super) async fn flush_repaired(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        for id in std::mem::take(&mut self.repaired) {
            if let Some(slot) = self.sessions.get(&id) {
                let mut row = slot.row.clone().into_active_model().reset_all();
                row.template = NotSet; // no fact of it, and never changed
                session::Entity::update(row).exec(tx).await?;
            }
        }
        Ok(())
    }
}

/// What a row is to be.
struct Mend<'a> {
    entity: &'a str,
    facts: &'a Map<String, Value>,
    last: i64,
}

impl Mend<'_> {
    fn row<M: Serialize + DeserializeOwned>(&self, row: &mut M) -> Result<Option<Vec<Column>>, Error> {
        let unreadable = |error: serde_json::Error| unfit(self.entity, &error.to_string());
        let Value::Object(mut stands) = serde_json::to_value(&*row).map_err(unreadable)? else { return Ok(None) };
        if stands.get("entity_seq").and_then(Value::as_i64).is_some_and(|seq| seq > self.last) {
            return Err(unfit(self.entity, "the end of its log is gone"));
        }
        let columns = difference(self.facts, self.last, &stands);
        if columns.is_empty() {
            return Ok(None);
        }
        stands.extend(columns.iter().map(|column| (column.column.clone(), column.log.clone())));
        stands.insert("entity_seq".into(), (self.last + 1).into());
        *row = serde_json::from_value(Value::Object(stands)).map_err(unreadable)?;
        Ok(Some(columns))
    }
}

fn unfit(entity: &str, why: &str) -> Error {
    Error::Conflict(format!("{entity} cannot be set to what its log says: {why}"))
}
