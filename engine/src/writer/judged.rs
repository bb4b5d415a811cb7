//! What decisions about commands mean to the controllers that carry them out: failures that no user caused count towards the
//! breaker, a success closes it, what goes out while it is half open is its probe, and retries take their place in the budget.
//!
//! All of it happens under the controller's row lock (see `Batch::load_controllers`), so that two engines agree.

use machine::breaker::{Kind, State};
use machine::command::Effect;
use machine::controller::Event;
use streams::subject::Verb;
use streams::wire::Failure;
use uuid::Uuid;

use super::batch::Batch;

/// A report on a command, as far as it says something about its controller.
pub(super) struct Verdict<'a> {
    pub(super) owner: Option<&'a str>,
    /// The command that it answers.
    pub(super) command: Option<Uuid>,
    pub(super) error: Option<&'a Failure>,
}

impl Batch<'_> {
    /// What a report says about its controller.
    pub(super) fn judge(&mut self, verdict: &Verdict<'_>, effects: &[Effect]) {
        let done = effects.iter().find_map(|effect| match effect {
            Effect::Complete { event_id, superseded: false } => Some(*event_id),
            _ => None,
        });
        let event = match (verdict.error, verdict.command, done) {
            (Some(error), Some(command), _) if error.user_error => Event::Abandoned(command),
            (Some(error), Some(command), _) => failure(command, Kind::of(&error.code), &error.message),
            (None, _, Some(command)) => Event::Success(command),
            _ => return,
        };
        self.tell_owner(verdict.owner, event);
    }

    /// A deadline passed: where that is a failed attempt, whoever took the command never answered. In the core lane silence is
    /// how the same command comes to be sent again, so that only giving up counts there.
    pub(super) fn judge_silence(&mut self, owner: Option<&str>, command: Option<Uuid>, effects: &[Effect]) {
        let failed = |effect: &Effect| matches!(effect, Effect::Fail { .. } | Effect::Decide("retry_armed"));
        if let Some(command) = command.filter(|_| effects.iter().any(failed)) {
            self.tell_owner(owner, failure(command, Kind::Timeout, "it took a command and never reported"));
        }
    }

    /// What the effects of a decision mean to the owner that was and to the one that is. `verb` is that of the open command.
    pub(super) fn follow(&mut self, was: Option<&str>, is: Option<&str>, verb: Option<Verb>, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Send { event_id, ready: true, verb, .. } if !ends(*verb) => self.sent(is, *event_id),
                Effect::Redrive { event_id } if !verb.is_some_and(ends) => self.sent(is, *event_id),
                Effect::Complete { event_id, .. } | Effect::Fail { event_id, .. } if self.probes(was) => {
                    self.tell_owner(was, Event::Abandoned(*event_id));
                }
                Effect::Retried => self.retried(is),
                _ => {}
            }
        }
    }

    fn sent(&mut self, owner: Option<&str>, command: Uuid) {
        if self.probes(owner) {
            self.tell_owner(owner, Event::Sent(command));
        }
    }

    fn probes(&self, owner: Option<&str>) -> bool {
        let slot = owner.and_then(|id| self.controllers.get(id));
        slot.is_some_and(|slot| slot.row.breaker == State::HalfOpen.as_str())
    }

    fn retried(&mut self, owner: Option<&str>) {
        let now_ms = self.now_ms;
        if let Some(slot) = owner.and_then(|id| self.controllers.get_mut(id)) {
            slot.row.retry_ms = slot.row.budget().taken(now_ms).spoken_for_ms;
            slot.touch();
        }
    }

    fn tell_owner(&mut self, owner: Option<&str>, event: Event) {
        if let Some(owner) = owner {
            let _ = self.controller_event(owner, &event); // an owner without a row has no breaker
        }
    }
}

fn failure(command: Uuid, kind: Kind, why: &str) -> Event {
    Event::Failure { command, kind, why: why.to_owned() }
}

/// Whether a verb gives back what others wait for: it goes to its owner whatever the breaker says, and proves nothing.
const fn ends(verb: Verb) -> bool {
    matches!(verb, Verb::SessionDelete | Verb::AppUninstall)
}
