//! What happens when an attempt came to nothing though its owner did not say so: its report was parked, or it could not be sent.

use machine::Lane;
use machine::session::FailedAttempt;
use uuid::Uuid;

use super::Error;
use super::batch::Batch;
use super::work::{Commanded, Done, LostAttempt};

impl Batch<'_> {
    /// It counts as failed where it is the one that is under way, and where whoever spoke of it owns it. Else nothing changes: it is
    /// over, or somebody else's.
    pub(super) fn attempt_failed(&mut self, lost: &LostAttempt, trace: Option<&str>) -> Result<Done, Error> {
        let failed = Box::new(lost.failed.clone());
        match self.owned(lost) {
            Some(Commanded::Session(id)) => self.happened(id, &machine::session::Event::AttemptFailed(failed), trace),
            Some(Commanded::Application(id)) => {
                self.application_event(id, &machine::application::Event::AttemptFailed(failed), trace)
            }
            Some(Commanded::Debt(id)) => self.debt_event(id, &machine::debt::Event::AttemptFailed(failed), trace),
            None => Ok(Done::Duplicate),
        }
    }

    /// What the attempt is of, where it is of the open command of what is said, and the owner's.
    fn owned(&self, lost: &LostAttempt) -> Option<Commanded> {
        match lost.of {
            Commanded::Session(id) => {
                let row = &self.sessions.get(&id)?.row;
                let own = is_of(lost, row.command_id, row.controller_id.as_deref(), row.lane.as_deref());
                if own { Some(lost.of) } else { self.owed(id, lost) }
            }
            Commanded::Application(id) => {
                let row = &self.applications.get(&id)?.row;
                let own = is_of(lost, row.command_id, row.controller_id.as_deref(), row.lane.as_deref());
                own.then_some(lost.of)
            }
            Commanded::Debt(id) => self.debts.contains_key(&id).then_some(lost.of),
        }
    }

    /// The debt of a session whose command it is.
    fn owed(&self, session: Uuid, lost: &LostAttempt) -> Option<Commanded> {
        let mut debts = self.debts.values().map(|slot| &slot.row).filter(|row| row.session_id == session);
        let own = debts.find(|row| is_of(lost, row.command_id, Some(&row.controller_id), row.lane.as_deref()));
        own.map(|row| Commanded::Debt(row.debt_id))
    }
}

/// In the core lane a report carries no proof of its sender, and names a command only where its sender likes to.
fn is_of(lost: &LostAttempt, command: Option<Uuid>, owner: Option<&str>, lane: Option<&str>) -> bool {
    let FailedAttempt { command: named, .. } = &lost.failed;
    let Some((reporter, through)) = &lost.by else { return command.is_some() && *named == command };
    let is_owner = lane == Some(through.as_str()) && (*through == Lane::Core || owner == Some(reporter));
    let is_named = match named {
        Some(named) => command == Some(*named),
        None => *through == Lane::Core && command.is_some(),
    };
    is_owner && is_named
}
