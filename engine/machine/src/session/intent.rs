//! What people ask for: create, hibernate, wake, delete, activity.
//!
//! Asking for what already holds is not an error and changes nothing.

use streams::subject::Verb;
use streams::wire::SessionState as S;
use uuid::Uuid;

use super::{Decision, Desired, Effect, Error, Session, Sign, Step};
use crate::command::{Commanded as _, DecisionKind};
use crate::{Context, placement::Place};

/// The first facts of a session, and its create command.
#[must_use]
pub fn create(
    session_id: Uuid,
    place: &Place,
    idle_timeout_s: Option<i64>,
    max_duration_s: Option<i64>,
    context: &Context,
) -> Decision {
    let mut step = Step { session: Session::new(session_id, context.now_ms), effects: Vec::new(), context };
    step.session.idle_timeout_s = idle_timeout_s;
    step.session.max_duration_s = max_duration_s;
    step.assign(place);
    step.issue(false);
    Decision { session: step.session, effects: step.effects }
}

impl Step<'_> {
    pub(super) fn hibernate(&mut self) -> Result<(), Error> {
        match self.session.status {
            S::Hibernating | S::Hibernated => Ok(()),
            S::Running | S::Creating | S::Waking => {
                self.session.command.reason = None;
                self.fall_asleep();
                Ok(())
            }
            S::Pending | S::Deleting | S::Deleted | S::Failed => Err(self.illegal("hibernate")),
        }
    }

    /// Hibernates, for whatever reason the caller wrote down.
    pub(super) fn fall_asleep(&mut self) {
        let reason = self.session.command.reason.take();
        self.session.desired = Desired::Hibernated;
        self.session.status = S::Hibernating;
        self.end_run();
        self.command(false);
        self.session.command.reason = reason;
    }

    pub(super) fn wake(&mut self, place: &Place) -> Result<(), Error> {
        match self.session.status {
            S::Pending | S::Creating | S::Running | S::Waking => Ok(()),
            S::Failed if self.session.desired == Desired::Deleted => Err(self.illegal("wake")),
            S::Hibernating | S::Hibernated | S::Failed => {
                self.session.desired = Desired::Running;
                self.session.status = S::Waking;
                self.session.command.message = None;
                if self.session.command.controller_id.is_none() {
                    self.assign(place);
                }
                self.command(false);
                Ok(())
            }
            S::Deleting | S::Deleted => Err(self.illegal("wake")),
        }
    }

    pub(super) fn delete(&mut self, force: bool) {
        match self.session.status {
            S::Deleted => {}
            S::Deleting => {
                if force && !self.context.owner_ready {
                    self.write_off();
                    self.effects.push(Effect::Decide(DecisionKind::WrittenOff));
                }
            }
            _ if self.session.command.controller_id.is_none() => self.vanish(),
            _ => self.tear_down(force),
        }
    }

    /// It never reached a controller, so there is nothing to clean up.
    fn vanish(&mut self) {
        self.session.desired = Desired::Deleted;
        self.session.command.generation += 1;
        self.session.status = S::Deleted;
        let never = self.session.command.seen_generation == 0;
        let why = if never { "deleted before it was placed" } else { "deleted while no controller had it" };
        self.session.command.reason = Some(why.into());
        self.supersede();
        self.effects.push(Effect::Decide(DecisionKind::DeletedUnplaced));
    }

    fn tear_down(&mut self, force: bool) {
        self.session.desired = Desired::Deleted;
        self.session.status = S::Deleting;
        self.session.url = None;
        self.end_run();
        self.session.command.reason = None;
        self.command(force);
        if force && !self.context.owner_ready {
            self.write_off();
        }
    }

    /// Shown as deleted now; the delete stays open until the owner has done it.
    pub(super) fn write_off(&mut self) {
        self.session.status = S::Deleted;
        self.session.debt = true;
        self.session.command.reason = Some("the owner is away: it owes the clean-up".into());
    }

    /// What failed is tried once more, towards what is desired now.
    pub(super) fn again(&mut self) -> Result<(), Error> {
        if self.session.debt {
            self.command(true);
            return Ok(());
        }
        if self.session.status != S::Failed {
            return Err(self.illegal("replay"));
        }
        self.session.status = match self.session.desired {
            Desired::Running => S::Waking,
            Desired::Hibernated => S::Hibernating,
            Desired::Deleted => S::Deleting,
        };
        self.session.command.message = None;
        self.command(false);
        Ok(())
    }

    pub(super) fn activity(&mut self) -> Result<(), Error> {
        match self.session.status {
            S::Running | S::Creating | S::Waking => {
                self.sign(Sign::Activity);
                Ok(())
            }
            _ => Err(self.illegal("activity")),
        }
    }

    /// Whatever is under way stays so; when a session that runs is looked at next follows from the new time.
    pub(super) fn amend(&mut self, idle_timeout_s: Option<i64>) -> Result<(), Error> {
        if self.session.status == S::Deleted {
            return Err(self.illegal("amend"));
        }
        self.session.idle_timeout_s = idle_timeout_s;
        Ok(())
    }

    /// A delete that is already open is issued anew, for something that must not exist but does.
    pub(super) fn delete_again(&mut self) {
        debug_assert_eq!(self.session.desired, Desired::Deleted);
        self.command(false);
        debug_assert_eq!(self.session.command.verb.as_deref(), Some(Verb::SessionDelete.name()));
    }
}
