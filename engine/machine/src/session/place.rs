//! Who gets the session, and what happens to one that waits.

use streams::wire::SessionState as S;

use super::{Effect, Step};
use crate::placement::Place;

impl Step<'_> {
    /// Writes the choice down, or why there is none.
    pub(super) fn assign(&mut self, place: &Place) {
        match place {
            Place::Chosen { controller_id, lane } => {
                self.session.controller_id = Some(controller_id.clone());
                self.session.lane = Some(*lane);
            }
            Place::Wait(reason) => self.session.reason = Some(reason.clone()),
        }
    }

    /// A session with an owner that takes no work shows so.
    pub(super) fn explain_wait(&mut self) {
        if let (true, Some(owner)) = (self.waits(), self.session.controller_id.as_deref()) {
            self.session.reason = Some(format!("controller {owner} takes no work now"));
        }
    }

    pub(super) fn placed(&mut self, place: &Place) {
        let unplaced = self.session.controller_id.is_none() && self.waits();
        if !unplaced || matches!(self.session.status, S::Deleted | S::Deleting) {
            return;
        }
        let before = self.session.reason.clone();
        self.assign(place);
        if self.session.controller_id.is_some() {
            self.effects.push(Effect::Decide("placed"));
            self.redrive();
        } else if self.session.reason != before {
            self.effects.push(Effect::Decide("waiting"));
        }
    }

    pub(super) fn owner_ready(&mut self) {
        if self.waits() && self.session.controller_id.is_some() && self.context.owner_ready {
            self.effects.push(Effect::Decide("owner_ready"));
            self.redrive();
        }
    }
}
