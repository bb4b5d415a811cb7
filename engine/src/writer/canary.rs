//! What happens to the canary of a job: its items are noted as they go, and judged once they have ended. One that failed again
//! halts the job; an operator resumes it with another canary, or cancels it.

use serde_json::json;
use uuid::Uuid;

use super::Error;
use super::batch::Batch;
use super::job::{missing, not_yours};
use super::work::{Commanded, Done, Item, Judged, Replay};
use crate::store::canary::{Canary, Sent, Stage, Try};
use crate::store::job;

impl Batch<'_> {
    /// Notes an item that was just done.
    pub(super) fn note_try(&self, canary: &mut Canary, item: &Item) {
        let Item::Letter(letter, how) = item else { return };
        let sent = match how {
            Replay::Ask { of, .. } => self.command_of(*of).map(Sent::Command),
            Replay::Sent { sent, .. } => sent.clone(),
        };
        let Some(sent) = sent else { return };
        canary.tries.push(Try { letter: *letter, at_ms: self.now_ms, sent, outcome: "sent".into(), error: None });
    }

    /// Its canary after a step; says whether the job now waits for it.
    pub(super) fn canary_went(&self, row: &mut job::Model, mut canary: Canary, last: bool) -> bool {
        let waits = canary.left() == 0 || (last && !canary.tries.is_empty());
        if waits {
            canary.stage = Stage::Waiting;
        }
        row.canary = Some(json!(canary));
        waits
    }

    fn command_of(&self, of: Commanded) -> Option<Uuid> {
        self.stands(of).ok().and_then(|(_, command)| command)
    }

    /// What became of the items that went first.
    pub(super) fn judge_canary(&mut self, judged: &Judged, trace: Option<&str>) -> Result<Done, Error> {
        let now_ms = self.now_ms;
        let slot = self.jobs.get_mut(&judged.id).ok_or_else(|| missing(judged.id))?;
        let row = &mut slot.row;
        let waits = row.canary().filter(|canary| canary.stage == Stage::Waiting);
        let Some(mut canary) = waits.filter(|_| row.is_running() && row.claimed_by == Some(judged.runner)) else {
            return Err(not_yours(judged.id));
        };
        canary.tries.clone_from(&judged.tries);
        let failed = canary.tries.iter().find(|one| one.has_failed()).cloned();
        canary.stage = match &failed {
            Some(_) => Stage::Failed,
            None if canary.tries.iter().all(Try::has_ended) => Stage::Passed,
            None => Stage::Waiting,
        };
        row.canary = Some(json!(canary));
        row.claimed_until_ms = Some(now_ms + super::job::LEASE_MS);
        row.updated_ms = now_ms;
        slot.touch();
        match failed {
            Some(failed) => self.halt_job(judged.id, &failed, trace),
            None => self.job_row(judged.id),
        }
    }

    fn halt_job(&mut self, id: Uuid, failed: &Try, trace: Option<&str>) -> Result<Done, Error> {
        let error = failed.error.as_deref().unwrap_or("no reason was given");
        let reason = format!("canary: dead letter {} failed again: {error}", failed.letter);
        let row = &mut self.jobs.get_mut(&id).ok_or_else(|| missing(id))?.row;
        row.status = job::HALTED.into();
        row.reason = Some(reason);
        (row.claimed_by, row.claimed_until_ms) = (None, None);
        let changes = json!({ "status": row.status, "reason": row.reason, "canary": row.canary, "done": row.done,
            "failed": row.failed, "skipped": row.skipped });
        self.job_decided(id, "job_halted", "engine", changes, trace)?;
        self.job_row(id)
    }

    /// Goes on behind what was done, with a canary of the next items.
    pub(super) fn resume_job(&mut self, id: Uuid, by: &str, trace: Option<&str>) -> Result<Done, Error> {
        let now_ms = self.now_ms;
        let slot = self.jobs.get_mut(&id).ok_or_else(|| missing(id))?;
        let row = &mut slot.row;
        match row.status.as_str() {
            job::HALTED => {}
            "running" => return self.job_row(id),
            other => return Err(Error::Conflict(format!("job {id} is {other}; only one that is halted is resumed"))),
        }
        row.status = "running".into();
        row.reason = None;
        row.canary = row.canary().map(|canary| json!(Canary::of(canary.size)));
        row.updated_ms = now_ms;
        let changes = json!({ "status": row.status, "reason": row.reason, "canary": row.canary });
        slot.touch();
        self.job_decided(id, "job_resumed", by, changes, trace)?;
        self.outcome.jobs = true;
        self.job_row(id)
    }
}
