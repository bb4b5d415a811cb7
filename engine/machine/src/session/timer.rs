//! What time does: retries and deadlines. Idleness and the maximum duration are in `idleness`.

use streams::wire::Failure;

use super::{Attempt, Effect, Step};
use crate::{Lane, retry};

impl Step<'_> {
    pub(super) fn tick(&mut self) {
        if self.session.next_attempt_ms.is_some_and(|at| at <= self.context.now_ms) {
            self.retry();
        }
        self.look_at_stops();
    }

    fn retry(&mut self) {
        let delete = self.session.desired == super::Desired::Deleted;
        if self.context.owner_ready || delete {
            self.effects.push(Effect::Decide("retry"));
            self.redrive();
        } else {
            self.session.next_attempt_ms = None;
            self.explain_wait();
            self.effects.push(Effect::Decide("waiting"));
        }
    }

    /// Silence. While the stream holds the command JetStream owns it; only then is it sent again.
    pub(super) fn deadline(&mut self, held: bool) {
        if self.session.command_id.is_none() || self.session.deadline_ms.is_none_or(|at| at > self.context.now_ms) {
            return;
        }
        if held {
            self.arm_deadline();
            return;
        }
        let failure = Failure {
            code: "no_report".into(),
            message: "the controller took the command and never reported".into(),
            retryable: true,
            user_error: false,
        };
        self.attempt_failed(&failure, self.session.lane == Some(Lane::Core));
    }

    /// The stream's store is gone: what was under way there is sent again at once, without blame.
    pub(super) fn lost(&mut self) {
        if self.session.command_id.is_some() && self.session.deadline_ms.is_some() {
            self.effects.push(Effect::Decide("redriven"));
            self.redrive();
        }
    }

    /// An attempt of the open command ended badly: arm the next one (`at_once`: silence was the wait), or give up.
    pub(super) fn attempt_failed(&mut self, error: &Failure, at_once: bool) {
        let attempt = self.session.attempt;
        let at_ms = self.context.now_ms;
        self.session.failures.push(Attempt { attempt, at_ms, error: error.clone() });
        self.session.message = Some(error.message.clone());
        let delay = retry::delay_ms(attempt, self.context.jitter);
        match delay {
            _ if !error.retryable => self.give_up("permanent", error),
            None => self.give_up("retries_exhausted", error),
            Some(_) if at_once => {
                self.effects.push(Effect::Decide("sent_again"));
                self.redrive();
            }
            Some(delay) => {
                self.session.deadline_ms = None;
                self.session.next_attempt_ms = Some(at_ms + delay);
                self.session.reason = Some(format!("attempt {attempt} failed ({}); waiting to try again", error.code));
                self.effects.push(Effect::Decide("retry_armed"));
            }
        }
    }
}
