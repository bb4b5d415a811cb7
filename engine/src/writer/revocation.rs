//! What happens when an operator revokes a controller, takes that back, and when its sessions move on.

use machine::placement::Place;
use machine::session::{Decision, Event, Session, decide};
use serde_json::json;
use uuid::Uuid;

use super::Error;
use super::batch::Batch;
use super::work::{Done, Revocation};

impl Batch<'_> {
    /// Takes a controller out of service, and creates the job that moves its sessions: both or neither. One that is revoked
    /// already stays as it is, with the job that it has.
    pub(super) fn revoke(&mut self, revocation: &Revocation, trace: Option<&str>) -> Result<Done, Error> {
        let Revocation { controller_id, why, by, job } = revocation;
        let now_ms = self.now_ms;
        let row = self.controller_row(controller_id)?;
        if row.revoked {
            return Ok(Done::Controller(Box::new(row)));
        }
        self.create_job(job, trace)?;
        self.operate(
            controller_id,
            "controller_revoked",
            &json!({ "by": by, "note": why, "job_id": job.job_id }),
            |row| {
                row.revoked = true;
                row.revoked_by = Some(by.clone());
                row.revoked_reason = Some(why.clone());
                row.revoked_ms = Some(now_ms);
                row.revoked_job = Some(job.job_id);
            },
        )
    }

    /// Puts a controller back into service. What has moved on stays where it is, and what is owed is owed.
    pub(super) fn reinstate(&mut self, controller_id: &str, why: &str, by: &str) -> Result<Done, Error> {
        let row = self.controller_row(controller_id)?;
        if !row.revoked {
            return Ok(Done::Controller(Box::new(row)));
        }
        self.operate(controller_id, "controller_reinstated", &json!({ "by": by, "note": why }), |row| {
            row.revoked = false;
            (row.revoked_by, row.revoked_reason, row.revoked_ms, row.revoked_job) = (None, None, None, None);
        })
    }

    /// What becomes of a session whose owner was revoked; `None` where its owner was not.
    pub(super) fn would_move(&self, id: Uuid) -> Result<Option<(Session, Decision)>, Error> {
        let before = self.facts(id)?;
        let owner = before.command.controller_id.as_deref().and_then(|id| self.controllers.get(id));
        if owner.is_none_or(|slot| !slot.row.revoked) {
            return Ok(None);
        }
        let place = self.choose_again(id)?;
        let next = match &place {
            Place::Chosen { controller_id, .. } => Some(controller_id.clone()),
            Place::Wait(_) => None,
        };
        let context = self.session_context(id, next.as_deref())?;
        let decision = decide(&before, &Event::Moved(place), &context)?;
        Ok(Some((before, decision)))
    }

    /// A session leaves its owner, if that was revoked; says whether there was anything to do.
    pub(super) fn move_on(&mut self, id: Uuid, trace: Option<&str>) -> Result<bool, Error> {
        let Some((before, decision)) = self.would_move(id)? else { return Ok(false) };
        if decision.effects.is_empty() {
            return Ok(false);
        }
        let (next, generation) = (&decision.session.command.controller_id, decision.session.command.generation);
        let left = *next != before.command.controller_id;
        let sent = before.command.generation > 1 || before.command.attempt > 0 || before.command.seen_generation > 0;
        self.record(id, Some(&before), decision, Vec::new(), trace)?;
        if left && sent {
            self.owe(&before, generation, trace)?;
        }
        Ok(true)
    }
}
