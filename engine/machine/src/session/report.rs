//! What the owner says, once it was held against the fence.

use streams::subject::Verb;
use streams::wire::{Failure, SessionState as S};
use uuid::Uuid;

use super::{Attempt, Desired, Effect, Error, FAILURE_WINDOW_MS, Source, Step};
use crate::command::{Commanded as _, DecisionKind, Listens as _, Worth, word};
use crate::{Lane, retry};

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
    /// Set where an attempt, or the session itself, failed.
    pub error: Option<Failure>,
    /// Where a browser reaches it.
    pub url: Option<String>,
    /// The platform's name of what runs it.
    pub pod_name: Option<String>,
    /// The platform's own word.
    pub phase: Option<String>,
    /// For people.
    pub message: Option<String>,
    /// Open connections.
    pub connections: Option<i32>,
    /// It uses enough CPU to count as in use; see [`streams::usage`].
    pub in_use: bool,
}

impl Observation {
    pub(crate) fn claims_existence(&self) -> bool {
        !matches!(self.status, S::Deleted | S::Failed | S::Pending)
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
            Worth::Future => self.of_the_future(),
        }
        Ok(())
    }

    /// What is desired is said again, above the generation that the owner knows.
    fn of_the_future(&mut self) {
        self.end_run();
        self.session.status = match self.session.desired {
            Desired::Running => S::Waking,
            Desired::Hibernated => S::Hibernating,
            Desired::Deleted => S::Deleting,
        };
        self.effects.push(Effect::Decide(DecisionKind::GenerationRaised));
        self.command(false);
    }

    /// An older generation changes nothing. But where it claims that something exists which must not, that is deleted again.
    fn of_the_past(&mut self, seen: &Observation) {
        if self.session.status == S::Deleted && self.session.command.id.is_none() && seen.claims_existence() {
            self.delete_again();
        }
    }

    fn failure(&mut self, seen: &Observation, error: &Failure) {
        let answers = self.answered_badly(word!(seen), error);
        if !answers && self.session.command.id.is_none() && seen.causation_id.is_none() {
            self.broke_down(error);
        }
    }

    /// It failed by itself. What is to run is started again after a back-off, until it has failed too often of late.
    fn broke_down(&mut self, error: &Failure) {
        if self.session.status != S::Running {
            return;
        }
        let now = self.context.now_ms;
        let mut failures = std::mem::take(&mut self.session.command.failures);
        failures.retain(|past| now - past.at_ms < FAILURE_WINDOW_MS);
        let count = i32::try_from(failures.len()).unwrap_or(i32::MAX).saturating_add(1);
        failures.push(Attempt { attempt: count, at_ms: now, error: error.clone() });
        self.session.url = None;
        self.session.command.message = Some(error.message.clone());
        self.session.command.failures = failures;
        match retry::delay_ms(count, self.context.jitter).filter(|_| error.retryable) {
            Some(delay) => self.start_again_after(delay, &error.code),
            None => self.give_up("failed_repeatedly", error),
        }
    }

    fn start_again_after(&mut self, delay_ms: i64, code: &str) {
        let failures = std::mem::take(&mut self.session.command.failures);
        self.session.status = S::Waking;
        self.end_run();
        self.session.command.generation += 1;
        let event_id = self.context.fresh_id;
        self.session.command.id = Some(event_id);
        self.session.command.verb = Some(Verb::SessionWake.name().to_owned());
        self.session.command.attempt = 0;
        self.session.command.next_attempt_ms = Some(self.context.now_ms + delay_ms);
        self.session.command.reason = Some(format!("stopped by itself ({code}); waiting to start it again"));
        self.session.command.failures = failures;
        self.effects.push(Effect::Send { event_id, verb: Verb::SessionWake, ready: false, force: false });
    }

    fn progress(&mut self, seen: &Observation) {
        self.describe(seen);
        let goal = self.session.desired.goal();
        let open = self.session.command.id;
        match open {
            Some(event_id) if seen.status == goal => self.reached(event_id),
            Some(event_id) if self.answers_open_command(word!(seen)) => self.started(event_id, seen),
            Some(_) => {}
            None => self.unasked(seen),
        }
    }

    /// Takes over what the owner says for people; only where it says something.
    fn describe(&mut self, seen: &Observation) {
        let s = &mut self.session;
        let keep = |new: &Option<String>, old: &mut Option<String>| {
            if new.is_some() {
                old.clone_from(new);
            }
        };
        keep(&seen.pod_name, &mut s.pod_name);
        keep(&seen.phase, &mut s.phase);
        keep(&seen.message, &mut s.command.message);
        if seen.status == S::Running && s.desired == Desired::Running {
            keep(&seen.url, &mut s.url);
            self.signs(seen);
        }
    }

    fn started(&mut self, event_id: Uuid, seen: &Observation) {
        let on_the_way = match self.session.desired {
            Desired::Running => matches!(seen.status, S::Creating | S::Waking),
            Desired::Hibernated => seen.status == S::Hibernating,
            Desired::Deleted => seen.status == S::Deleting,
        };
        if !on_the_way {
            return;
        }
        if self.session.status != S::Deleted {
            self.session.status = seen.status;
        }
        self.began(event_id, word!(seen));
    }

    fn reached(&mut self, event_id: Uuid) {
        self.done(event_id);
        self.settle();
    }

    /// What is desired holds.
    fn settle(&mut self) {
        let s = &mut self.session;
        s.status = s.desired.goal();
        match s.desired {
            Desired::Running => {
                s.command.reason = None;
                self.begin_run();
            }
            Desired::Hibernated => {
                s.url = None;
                s.command.failures.clear();
            }
            Desired::Deleted => {
                s.url = None;
                s.pod_name = None;
                s.command.reason = None;
                s.command.failures.clear();
                s.debt = false;
            }
        }
    }

    /// Nothing was asked of the owner, and it speaks: either all is as it should be, or the world moved and is set right.
    fn unasked(&mut self, seen: &Observation) {
        let goal = self.session.desired.goal();
        if seen.status == goal {
            if self.session.status == S::Failed {
                self.effects.push(Effect::Decide(DecisionKind::Recovered));
                self.settle();
            }
            return;
        }
        match (self.session.status, self.session.desired) {
            (S::Failed, _) => {}
            (_, Desired::Running) if matches!(seen.status, S::Deleted | S::Hibernated) => self.set_right(S::Waking),
            (_, Desired::Hibernated) if seen.claims_existence() => self.set_right(S::Hibernating),
            (_, Desired::Deleted) if seen.claims_existence() => {
                self.effects.push(Effect::Decide(DecisionKind::ExistsAgain));
                self.delete_again();
            }
            _ => {}
        }
    }

    fn set_right(&mut self, status: S) {
        self.session.status = status;
        self.session.url = None;
        self.end_run();
        self.effects.push(Effect::Decide(DecisionKind::WorldMoved));
        self.command(false);
    }
}
