//! What decisions about commands mean to the controllers that carry them out: failures that no user caused count towards the
//! breaker, a success closes it, what goes out while it is half open is its probe, and retries take their place in the budget.
//!
//! All of it happens under the controller's row lock (see `Batch::load_controllers`), so that two engines agree.

use machine::breaker::{Failing, Kind, State};
use machine::command::{DecisionKind, Effect};
use machine::controller::Event;
use serde_json::Value;
use streams::subject::Verb;
use streams::wire::{Failure, Scope};
use uuid::Uuid;

use super::batch::Batch;

/// A report on a command, as far as it says something about its controller.
pub(super) struct Verdict<'a> {
    pub(super) owner: Option<&'a str>,
    /// The command that it answers.
    pub(super) command: Option<Uuid>,
    /// The command that is open, which alone counts, and its verb.
    pub(super) open: (Option<Uuid>, Option<&'a str>),
    pub(super) error: Option<&'a Failure>,
    /// What it is about.
    pub(super) whose: Whose<'a>,
}

/// What was to start: its id, its template's name and manifest.
#[derive(Clone, Copy)]
pub(super) struct Whose<'a> {
    pub(super) id: Uuid,
    pub(super) template: &'a str,
    pub(super) manifest: &'a str,
    /// A template has run here where a session of it has.
    pub(super) session: bool,
}

impl Whose<'_> {
    pub(super) fn template(&self) -> String {
        version(self.template, self.manifest)
    }

    fn failing(&self, scope: Option<Scope>) -> Failing {
        Failing { id: self.id, template: self.template(), scope }
    }
}

/// A template as breakers remember it: by its name and what its manifest says, whose text is not the same in every database.
pub(super) fn version(name: &str, manifest: &str) -> String {
    let said = serde_json::from_str::<Value>(manifest).map_or_else(|_| manifest.to_owned(), |value| value.to_string());
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, said.as_bytes()).simple().to_string();
    format!("{name}@{}", digest.get(..12).unwrap_or_default())
}

impl Batch<'_> {
    /// What a report says about its controller. What ends something says nothing, whatever becomes of it.
    pub(super) fn judge(&mut self, verdict: &Verdict<'_>, effects: &[Effect]) {
        let done = effects.iter().find_map(|effect| match effect {
            Effect::Complete { event_id, superseded: false } => Some(*event_id),
            _ => None,
        });
        let (open, verb) = verdict.open;
        if verb.and_then(Verb::from_name).is_none_or(ends) {
            return;
        }
        let event = match (verdict.error, verdict.command.filter(|command| Some(*command) == open), done) {
            (Some(error), Some(command), _) if error.user_error => Event::Abandoned(command),
            (Some(error), Some(command), _) => {
                let kind = Kind::of(error.scope, &error.code);
                failure(command, verdict.whose.failing(error.scope), kind, &error.message)
            }
            (None, _, Some(command)) => match self.succeeded(verdict, command) {
                Some(event) => event,
                None => return,
            },
            _ => return,
        };
        self.tell_owner(verdict.owner, event);
    }

    /// A start ended well; `None` where that is no news to its controller's breaker.
    fn succeeded(&self, verdict: &Verdict<'_>, command: Uuid) -> Option<Event> {
        let row = &self.controllers.get(verdict.owner?)?.row;
        let template =
            verdict.whose.session.then(|| verdict.whose.template()).filter(|template| !row.has_run(template));
        (template.is_some() || !row.at_ease()).then_some(Event::Success { command, template })
    }

    /// A deadline passed: where that is a failed attempt of a start, whoever took it never answered. In the core lane silence is
    /// how the same command comes to be sent again, so that only giving up counts there.
    pub(super) fn judge_silence(
        &mut self,
        owner: Option<&str>,
        (command, verb): (Option<Uuid>, Option<&str>),
        whose: Whose<'_>,
        effects: &[Effect],
    ) {
        let starts = verb.and_then(Verb::from_name).is_some_and(|verb| !ends(verb));
        let failed = |effect: &Effect| matches!(effect, Effect::Fail { .. } | Effect::Decide(DecisionKind::RetryArmed));
        if let Some(command) = command.filter(|_| starts && effects.iter().any(failed)) {
            let event =
                failure(command, whose.failing(None), Kind::Unreachable, "it took a command and never reported");
            self.tell_owner(owner, event);
        }
    }

    /// What the effects of a decision mean to the owner that was and to the one that is. `open` is the verb of the open command, and
    /// when that is looked after.
    pub(super) fn follow(
        &mut self,
        was: Option<&str>,
        is: Option<&str>,
        (verb, deadline_ms): (Option<Verb>, Option<i64>),
        effects: &[Effect],
    ) {
        for effect in effects {
            match effect {
                Effect::Send { event_id, ready: true, verb, .. } if !ends(*verb) => {
                    self.sent(is, *event_id, deadline_ms);
                }
                Effect::Redrive { event_id } if !verb.is_some_and(ends) => self.sent(is, *event_id, deadline_ms),
                Effect::Complete { event_id, .. } | Effect::Fail { event_id, .. } if self.probes(was) => {
                    self.tell_owner(was, Event::Abandoned(*event_id));
                }
                Effect::Retried => self.retried(is),
                _ => {}
            }
        }
    }

    fn sent(&mut self, owner: Option<&str>, command: Uuid, deadline_ms: Option<i64>) {
        if self.probes(owner) {
            self.tell_owner(owner, Event::Sent { command, deadline_ms });
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

fn failure(command: Uuid, whose: Failing, kind: Kind, why: &str) -> Event {
    Event::Failure { command, whose, kind, why: why.to_owned() }
}

/// Whether a verb ends something and gives back what others wait for: it is no probe, and proves nothing.
const fn ends(verb: Verb) -> bool {
    matches!(verb, Verb::SessionDelete | Verb::SessionHibernate | Verb::AppUninstall)
}
