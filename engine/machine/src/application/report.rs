//! What the owner says about an application, once it was held against the fence.

use streams::wire::{AppState as S, Failure};
use uuid::Uuid;

use super::{Desired, Effect, Error, Source, Step};
use crate::Lane;
use crate::command::{Commanded as _, DecisionKind, Listens as _, Worth, word};

/// A report, with what it left out as `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Who says so.
    pub controller_id: String,
    /// How it came.
    pub lane: Lane,
    /// Where it stands in the order.
    pub source: Source,
    /// What was observed.
    pub status: S,
    /// The generation it speaks of.
    pub generation: Option<i64>,
    /// The command it answers.
    pub causation_id: Option<Uuid>,
    /// The attempt it answers.
    pub attempt: Option<i32>,
    /// The reporting run.
    pub instance_id: Option<Uuid>,
    /// Set where an attempt, or the application itself, failed.
    pub error: Option<Failure>,
    /// For people.
    pub message: Option<String>,
}

impl Observation {
    fn claims_existence(&self) -> bool {
        self.status == S::Ready
    }
}

impl Step<'_> {
    pub(super) fn report(&mut self, seen: &Observation) -> Result<(), Error> {
        match self.weigh(word!(seen))? {
            Worth::News => match &seen.error {
                Some(error) => self.failure(seen, error),
                None => self.progress(seen),
            },
            Worth::Old => {}
            Worth::Afterthought => self.of_the_past(seen),
            Worth::Future => {
                self.effects.push(Effect::Decide(DecisionKind::GenerationRaised));
                self.set_out();
            }
        }
        Ok(())
    }

    /// An older generation changes nothing. But what it claims to exist after the end is taken back again.
    fn of_the_past(&mut self, seen: &Observation) {
        if self.app.status == S::Uninstalled && self.app.command.id.is_none() && seen.claims_existence() {
            self.command(false);
        }
    }

    /// An attempt that failed is the open command's affair. One that fails with nothing asked of it is shown as failed, and
    /// recovers by its owner's word, or by being installed again.
    fn failure(&mut self, seen: &Observation, error: &Failure) {
        let answers = self.answered_badly(word!(seen), error);
        let by_itself = !answers && self.app.command.id.is_none() && seen.causation_id.is_none();
        if by_itself && self.app.status == S::Ready {
            self.app.status = S::Failed;
            self.app.command.reason = Some(format!("failed by itself: {}", error.code));
            self.app.command.message = Some(error.message.clone());
            self.effects.push(Effect::Decide(DecisionKind::BrokeDown));
        }
    }

    fn progress(&mut self, seen: &Observation) {
        let goal = self.app.desired.goal();
        let open = self.app.command.id;
        match open {
            Some(event_id) if seen.status == goal => {
                self.done(event_id);
                self.settle(seen);
            }
            Some(event_id) if self.answers_open_command(word!(seen)) => self.started(event_id, seen),
            Some(_) => {}
            None => self.unasked(seen),
        }
    }

    fn started(&mut self, event_id: Uuid, seen: &Observation) {
        let on_the_way = match self.app.desired {
            Desired::Installed => S::Installing,
            Desired::Uninstalled => S::Uninstalling,
        };
        if seen.status != on_the_way {
            return;
        }
        if self.app.status != S::Uninstalled {
            self.app.status = on_the_way;
        }
        if seen.message.is_some() {
            self.app.command.message.clone_from(&seen.message);
        }
        self.began(event_id, word!(seen));
    }

    /// What is desired holds.
    fn settle(&mut self, seen: &Observation) {
        self.app.status = self.app.desired.goal();
        self.app.command.reason = None;
        self.app.command.message.clone_from(&seen.message);
        self.app.command.failures.clear();
    }

    /// Nothing was asked of the owner, and it speaks: either all is as it should be, or the world moved and is set right.
    fn unasked(&mut self, seen: &Observation) {
        match (self.app.status, seen.status) {
            (S::Failed, said) if said == self.app.desired.goal() => {
                self.effects.push(Effect::Decide(DecisionKind::Recovered));
                self.settle(seen);
            }
            (S::Ready, S::Uninstalled) => {
                self.effects.push(Effect::Decide(DecisionKind::WorldMoved));
                self.set_out();
            }
            (S::Uninstalled, S::Ready) => {
                self.effects.push(Effect::Decide(DecisionKind::ExistsAgain));
                self.command(false); // people see no change
            }
            _ => {}
        }
    }
}
