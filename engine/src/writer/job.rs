//! What happens to a job: it is created, claimed, taken a step further, cancelled.
//!
//! A step is one piece of work: its items and the job's cursor are written in one transaction, so that no item is counted twice
//! or not at all, whoever dies when. A step is refused unless the job is still its runner's and stands where the runner read it.

use sea_orm::{DatabaseTransaction, DbErr};
use serde::Deserialize;
use serde_json::{Value, json};
use streams::crash::{Moment, point};
use uuid::Uuid;

use super::Error;
use super::batch::{Batch, Slot, State};
use super::outlook::{NOTHING, Outlooks};
use super::work::{Done, Failure, Item, JobStep, JobWrite};
use crate::entities::replace;
use crate::store::canary::Stage;
use crate::store::{event, job};

/// How long a runner that says nothing keeps its job.
pub(crate) const LEASE_MS: i64 = 15_000;
/// Failures that are kept.
const FAILURES: usize = 100;

impl Batch<'_> {
    pub(super) fn job(&mut self, write: &JobWrite, trace: Option<&str>) -> Result<Done, Error> {
        match write {
            JobWrite::Create(row) => self.create_job(row, trace),
            JobWrite::Claim { id, runner } => self.claim_job(*id, *runner),
            JobWrite::Release { id, runner } => self.release_job(*id, *runner),
            JobWrite::Step(step) => self.step_job(step, trace),
            JobWrite::Judge(judged) => self.judge_canary(judged, trace),
            JobWrite::Resume { id, by } => self.resume_job(*id, by, trace),
            JobWrite::Scanned(step) => self.scanned(step, trace),
            JobWrite::Cancel { id, by } => self.cancel_job(*id, by, trace),
        }
    }

    pub(super) fn create_job(&mut self, new: &job::Model, trace: Option<&str>) -> Result<Done, Error> {
        if !self.jobs.contains_key(&new.job_id) {
            let row = job::Model { created_ms: self.now_ms, updated_ms: self.now_ms, ..new.clone() };
            let changes = json!({ "kind": row.kind, "status": row.status, "filter": row.filter, "force": row.force,
                "dry_run": row.dry_run, "canary": row.canary, "rate": row.rate, "reason": row.reason, "created_by": row.created_by, "created_ms": row.created_ms });
            let by = row.created_by.clone();
            self.jobs.insert(new.job_id, Slot { row, state: State::New });
            self.job_decided(new.job_id, "job_created", &by, changes, trace)?;
            self.outcome.jobs = true;
        }
        self.job_row(new.job_id)
    }

    fn claim_job(&mut self, id: Uuid, runner: Uuid) -> Result<Done, Error> {
        let now_ms = self.now_ms;
        let slot = self.jobs.get_mut(&id).ok_or_else(|| missing(id))?;
        let row = &mut slot.row;
        let taken = row.claimed_by != Some(runner) && row.claimed_until_ms.is_some_and(|until| until > now_ms);
        if taken || !row.is_running() {
            return Err(not_yours(id));
        }
        row.claimed_by = Some(runner);
        row.claimed_until_ms = Some(now_ms + LEASE_MS);
        slot.touch();
        self.job_row(id)
    }

    fn release_job(&mut self, id: Uuid, runner: Uuid) -> Result<Done, Error> {
        let slot = self.jobs.get_mut(&id).ok_or_else(|| missing(id))?;
        if slot.row.claimed_by == Some(runner) {
            (slot.row.claimed_by, slot.row.claimed_until_ms) = (None, None);
            slot.touch();
        }
        self.job_row(id)
    }

    fn step_job(&mut self, step: &JobStep, trace: Option<&str>) -> Result<Done, Error> {
        let row = &self.jobs.get(&step.id).ok_or_else(|| missing(step.id))?.row;
        if !row.is_running() || row.claimed_by != Some(step.runner) || row.cursor() != step.from {
            return Err(not_yours(step.id));
        }
        let (dry_run, by) = (row.dry_run, row.created_by.clone());
        let mut row = row.clone();
        let mut outlooks = Outlooks::deserialize(&row.outlook).unwrap_or_default();
        let mut canary = row.canary().filter(|canary| canary.stage == Stage::Trying);
        for item in &step.items {
            let came = if dry_run { self.tried(item, &mut outlooks) } else { self.item(item, &by, trace) };
            match came {
                Ok(true) => {
                    row.done += 1;
                    canary.iter_mut().for_each(|canary| self.note_try(canary, item));
                }
                Ok(false) => row.skipped += 1,
                Err(failure) => {
                    row.failed += 1;
                    keep(&mut row.failures, failure);
                }
            }
        }
        if dry_run {
            row.outlook = json!(outlooks);
        }
        point("job.step", Moment::During);
        if let Some((ms, id)) = step.to {
            (row.cursor_ms, row.cursor_id) = (Some(ms), Some(id));
        }
        let waits = canary.map(|canary| self.canary_went(&mut row, canary, step.last)).unwrap_or_default();
        let ms = |rate| (step.items.len() as u64).saturating_mul(1_000) / rate;
        row.not_before_ms = row.rate().and_then(|rate| i64::try_from(ms(rate)).ok()).map(|ms| self.now_ms + ms);
        row.claimed_until_ms = Some(self.now_ms + LEASE_MS);
        row.updated_ms = self.now_ms;
        if let Some(slot) = self.jobs.get_mut(&step.id) {
            slot.row = row;
            slot.touch();
        }
        if step.last && !waits {
            return self.end_job(step.id, "completed", &by, trace);
        }
        self.job_row(step.id)
    }

    /// Does one item; says whether there was anything to do.
    fn item(&mut self, item: &Item, by: &str, trace: Option<&str>) -> Result<bool, Failure> {
        match item {
            Item::Session(id, ask) => self.ask_item(*id, *ask, trace).map_err(|error| Failure::of(*id, &error)),
            Item::Letter(id, how) => self.replay_item(*id, how, by, trace).map_err(|error| Failure::of(*id, &error)),
            Item::Discard(id, why) => self.discard_item(*id, why, by, trace).map_err(|error| Failure::of(*id, &error)),
            Item::Refused(failure) => Err(failure.clone()),
        }
    }

    /// Finds out what would become of one item, and keeps it.
    fn tried(&self, item: &Item, outlooks: &mut Outlooks) -> Result<bool, Failure> {
        let tried = self.outlook(item);
        let something = tried.as_ref().is_ok_and(|outlook| outlook.outcome != NOTHING);
        match tried {
            Ok(outlook) => outlooks.keep(outlook),
            Err(failure) => {
                outlooks.count(failure.r#type);
                return Err(failure);
            }
        }
        Ok(something)
    }

    fn cancel_job(&mut self, id: Uuid, by: &str, trace: Option<&str>) -> Result<Done, Error> {
        let row = &self.jobs.get(&id).ok_or_else(|| missing(id))?.row;
        match row.status.as_str() {
            "running" | job::HALTED => self.end_job(id, "cancelled", by, trace),
            "cancelled" => self.job_row(id),
            other => Err(Error::Conflict(format!("job {id} is {other} already; there is nothing left to cancel"))),
        }
    }

    pub(super) fn end_job(&mut self, id: Uuid, status: &str, by: &str, trace: Option<&str>) -> Result<Done, Error> {
        let now_ms = self.now_ms;
        let slot = self.jobs.get_mut(&id).ok_or_else(|| missing(id))?;
        let row = &mut slot.row;
        row.status = status.to_owned();
        row.finished_ms = Some(now_ms);
        row.updated_ms = now_ms;
        if status == "completed" {
            // what was there when it came by; what a scan finds is among what it reads
            row.total = if row.scan.is_some() { row.done } else { row.done + row.failed + row.skipped };
        }
        (row.claimed_by, row.claimed_until_ms) = (None, None);
        let mut changes = json!({ "status": status, "finished_ms": now_ms, "total": row.total, "done": row.done,
            "failed": row.failed, "skipped": row.skipped, "failures": row.failures,
            "outlook": row.outlook, "canary": row.canary });
        if let Some(scan) = &row.scan {
            changes["scan"] = scan.clone();
        }
        slot.touch();
        self.job_decided(id, &format!("job_{status}"), by, changes, trace)?;
        self.job_row(id)
    }

    pub(super) fn job_decided(
        &mut self,
        id: Uuid,
        what: &str,
        by: &str,
        changes: Value,
        trace: Option<&str>,
    ) -> Result<(), Error> {
        let slot = self.jobs.get_mut(&id).ok_or_else(|| missing(id))?;
        slot.row.entity_seq += 1;
        let (seq, kind) = (slot.row.entity_seq, slot.row.kind.clone());
        let subject = format!("streamspace.decision.{what}");
        let mut row = self.log_row(event::Kind::Decision, Uuid::now_v7(), subject, job::Model::entity(id));
        row.payload = json!({ "decision": what, "job_id": id, "kind": kind, "by": by }).into();
        row.changes = Some(changes.into());
        row.entity_seq = seq;
        row.traceparent = trace.map(str::to_owned);
        self.log.push(row);
        Ok(())
    }

    pub(super) fn job_row(&self, id: Uuid) -> Result<Done, Error> {
        let slot = self.jobs.get(&id).ok_or_else(|| missing(id))?;
        Ok(Done::Job(Box::new(slot.row.clone())))
    }

    pub(super) async fn flush_jobs(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let touched = std::mem::take(&mut self.jobs).into_values().filter(|slot| slot.state != State::Clean);
        replace::<job::Entity>(tx, touched.map(|slot| slot.row).collect()).await
    }
}

pub(super) fn missing(id: Uuid) -> Error {
    Error::NotFound { what: "job", name: id.to_string() }
}

pub(super) fn not_yours(id: Uuid) -> Error {
    Error::Conflict(format!("job {id} is not at this place, or another engine's"))
}

fn keep(failures: &mut Value, failure: Failure) {
    if let Some(kept) = failures.as_array_mut().filter(|kept| kept.len() < FAILURES) {
        kept.push(json!(failure));
    }
}
