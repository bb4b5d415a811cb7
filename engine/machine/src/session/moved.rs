//! What becomes of a session whose owner an operator has revoked: it moves on, and the former owner is left with a debt.
//!
//! Only an operator's word does this; a missed heartbeat never moves a session.

use streams::wire::SessionState as S;

use super::{Desired, Effect, Step};
use crate::command::{Commanded as _, DecisionKind};
use crate::placement::Place;

impl Step<'_> {
    pub(super) fn moved(&mut self, place: &Place) {
        match (self.session.status, self.session.desired) {
            (S::Deleted, _) => {}
            _ if self.session.command.controller_id.is_none() => {}
            (S::Deleting, _) => self.write_off_as_moved(),
            (_, Desired::Deleted) => {
                self.command(true);
                self.write_off_as_moved();
            }
            (_, Desired::Hibernated) => self.sleep_without_owner(),
            (_, Desired::Running) => self.start_elsewhere(place),
        }
    }

    /// Its delete stays its owner's debt, as with any owner that is away.
    fn write_off_as_moved(&mut self) {
        self.write_off();
        self.effects.push(Effect::Decide(DecisionKind::WrittenOff));
    }

    /// Nothing of it runs; it finds another owner when it is woken.
    fn sleep_without_owner(&mut self) {
        self.leave();
        self.session.status = S::Hibernated;
        self.supersede();
        self.session.command.generation += 1;
        self.session.command.reason = Some("its owner was revoked; it wakes elsewhere".into());
        self.effects.push(Effect::Decide(DecisionKind::Moved));
    }

    fn start_elsewhere(&mut self, place: &Place) {
        self.leave();
        if self.session.status != S::Pending {
            self.session.status = S::Waking;
        }
        self.assign(place);
        self.effects.push(Effect::Decide(DecisionKind::Moved));
        self.command(false);
    }

    fn leave(&mut self) {
        self.end_run();
        let s = &mut self.session;
        (s.command.controller_id, s.command.lane, s.placement) = (None, None, None);
        (s.url, s.pod_name, s.phase, s.command.message) = (None, None, None, None);
        s.command.reason = None;
        s.has_room = false;
    }
}
