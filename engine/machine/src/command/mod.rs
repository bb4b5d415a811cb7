//! The open command, which sessions and applications have alike: it is issued, placed, sent, tried again after a back-off,
//! given up, overtaken, or answered.
//!
//! [`Commanded`] is the whole of it; what has commands says which verb leads to what it desires, and what giving up makes of
//! it. `report` is the part that listens: the fence, and what a report means to the open command.

mod decision;
mod effect;
mod report;
mod state;

use streams::subject::Verb;
use streams::wire::Failure;
use uuid::Uuid;

use crate::placement::Place;
use crate::room::Room;
use crate::{Context, Lane, retry};

pub use decision::DecisionKind;
pub use effect::{Attempt, Effect, Error, FailedAttempt};
pub use report::Source;
pub(crate) use report::{Listens, word};
pub(crate) use report::{Word, Worth};
pub use state::CommandState;

/// How long a durable command may take before the engine looks after it, in milliseconds, besides the time that a template gives
/// a start to become ready. Longer than a controller's own limit (5 min, and the same addition), so that its error comes first.
pub const DEADLINE_MS: i64 = 360_000;
/// How long a core-lane controller may be silent before the same command is sent again, in milliseconds.
pub const CORE_DEADLINE_MS: i64 = 30_000;
/// Starts of one attempt by different runs of a controller, without an end, after which the command counts as poison.
pub const MAX_STARTS: i32 = 3;
/// The code, in a command's history, of a run of its controller that began it and did not come back.
pub const RUN_LOST: &str = "run_lost";

/// A decision in the making about something that has at most one open command, of its present generation.
pub(crate) trait Commanded {
    /// The state of the open command.
    fn open(&mut self) -> &mut CommandState;
    /// Where effects go.
    fn effects(&mut self) -> &mut Vec<Effect>;
    /// What may be known.
    fn context(&self) -> &Context;
    /// The verb that leads to what is desired.
    fn verb(&self) -> Verb;
    /// What is desired is an end: its command goes to the owner also while that takes no work.
    fn ends(&self) -> bool;
    /// Whether one that waits may still be given a place.
    fn placeable(&self) -> bool;
    /// It has a place: why this one.
    fn placed_because(&mut self, _why: &str) {}
    /// Its command starts something that takes room on the owner, and it has none there yet.
    fn needs_room(&self) -> bool {
        false
    }
    /// One place of its owner is its own from now on, where its command starts something.
    fn take_room(&mut self) {}
    /// How long the command may take in the durable lane, in milliseconds.
    fn durable_ms(&self) -> i64 {
        DEADLINE_MS
    }
    /// The command was given up: what it was for has failed.
    fn failed(&mut self);

    /// Commands take the lane that their owner is reached on now, whatever it was when the owner was chosen.
    fn follow_owner(&mut self) {
        let owner_lane = self.context().owner_lane;
        let open = self.open();
        if open.controller_id.is_some() && owner_lane.is_some() {
            open.lane = owner_lane;
        }
    }

    /// A new generation: whatever was open is overtaken, and a fresh command leads to what is desired now.
    fn command(&mut self, force: bool) {
        self.supersede();
        self.open().generation += 1;
        self.issue(force);
    }

    /// Opens the command that leads to what is desired, at the present generation.
    fn issue(&mut self, force: bool) {
        let (verb, event_id) = (self.verb(), self.context().fresh_id);
        let admitted = self.ends() || self.context().owner_ready;
        let owned = self.open().controller_id.is_some();
        let ready = owned && admitted && self.enters();
        let open = self.open();
        open.id = Some(event_id);
        open.verb = Some(verb.name().to_owned());
        open.attempt = 0;
        if ready {
            self.attempt();
        } else if owned {
            self.explain_wait();
        }
        self.effects().push(Effect::Send { event_id, verb, ready, force });
    }

    /// Whether it has the room on its owner that it needs; where there is some, it takes it.
    fn enters(&mut self) -> bool {
        if !self.needs_room() {
            return true;
        }
        let fits = self.context().room.is_some_and(Room::fits);
        if fits {
            self.take_room();
        }
        fits
    }

    /// The next attempt of the open command is on its way.
    fn attempt(&mut self) {
        let (now_ms, durable_ms) = (self.context().now_ms, self.durable_ms());
        let open = self.open();
        open.attempt += 1;
        open.starts = 0;
        open.starter = None;
        open.next_attempt_ms = None;
        open.in_turn = false;
        open.reason = None;
        open.arm_deadline(now_ms, durable_ms);
    }

    /// Closes the open command's book; the caller says how the command ended.
    fn close(&mut self) -> Option<Uuid> {
        let open = self.open();
        open.verb = None;
        open.attempt = 0;
        open.starts = 0;
        open.starter = None;
        open.next_attempt_ms = None;
        open.in_turn = false;
        open.deadline_ms = None;
        open.id.take()
    }

    fn supersede(&mut self) {
        self.open().failures.clear();
        if let Some(event_id) = self.close() {
            self.effects().push(Effect::Complete { event_id, superseded: true });
        }
    }

    fn redrive(&mut self) {
        if let Some(event_id) = self.open().id {
            self.attempt();
            self.effects().push(Effect::Redrive { event_id });
        }
    }

    fn give_up(&mut self, cause: &'static str, error: &Failure) {
        self.failed();
        let open = self.open();
        let attempts = std::mem::take(&mut open.failures);
        open.reason = Some(format!("{cause}: {}", error.code));
        open.message = Some(error.message.clone());
        if let Some(event_id) = self.close() {
            self.effects().push(Effect::Fail { event_id, cause, error: error.message.clone(), attempts });
        }
    }

    /// Writes the choice down, or why there is none.
    fn assign(&mut self, place: &Place) {
        self.open().assign(place);
        if let Place::Chosen { why, .. } = place {
            self.placed_because(why);
            self.take_room(); // whoever chose has counted
        }
    }

    /// What has an owner that takes no work, or has no room for it, shows so.
    fn explain_wait(&mut self) {
        let full = self.context().room.filter(|_| self.context().owner_ready && self.needs_room());
        let open = self.open();
        if let (true, Some(owner)) = (open.waits(), open.controller_id.as_deref()) {
            open.reason = Some(match full {
                Some(Room { held, max: Some(max) }) => {
                    format!("controller {owner} has no room now ({held} of {max} sessions)")
                }
                _ => format!("controller {owner} takes no work now"),
            });
        }
    }

    /// Placement looked again for one that waits.
    fn placed(&mut self, place: &Place) {
        let placeable = self.placeable();
        let open = self.open();
        if !placeable || open.controller_id.is_some() || !open.waits() {
            return;
        }
        let before = open.reason.clone();
        self.assign(place);
        let open = self.open();
        if open.controller_id.is_some() {
            self.effects().push(Effect::Decide(DecisionKind::Placed));
            self.redrive();
        } else if open.reason != before {
            self.effects().push(Effect::Decide(DecisionKind::Waiting));
        }
    }

    /// The owner takes work again.
    fn owner_ready(&mut self) {
        let ready = self.context().owner_ready;
        let open = self.open();
        if !open.waits() || open.controller_id.is_none() || !ready {
            return;
        }
        if !self.enters() {
            let before = self.open().reason.clone();
            self.explain_wait();
            if self.open().reason != before {
                self.effects().push(Effect::Decide(DecisionKind::Waiting));
            }
        } else if self.open().attempt == 0 {
            self.effects().push(Effect::Decide(DecisionKind::OwnerReady));
            self.redrive();
        } else {
            self.retry(DecisionKind::OwnerReady);
        }
    }

    /// The next attempt is made where it is due; without an owner that takes work it waits, and spends none.
    fn retry_if_due(&mut self) {
        let now_ms = self.context().now_ms;
        if self.open().next_attempt_ms.is_none_or(|at| at > now_ms) {
            return;
        }
        if self.ends() || self.context().owner_ready && self.enters() {
            self.retry(DecisionKind::Retry);
        } else {
            let open = self.open();
            open.next_attempt_ms = None;
            open.in_turn = false;
            self.explain_wait();
            self.effects().push(Effect::Decide(DecisionKind::Waiting));
        }
    }

    /// The next attempt is made, now or at the place that it takes in the owner's budget of retries.
    fn retry(&mut self, why: DecisionKind) {
        let (now_ms, place_ms) = (self.context().now_ms, self.context().retry_ms);
        let open = self.open();
        let has_place = open.in_turn;
        if has_place || place_ms <= now_ms {
            self.effects().extend((!has_place).then_some(Effect::Retried));
            self.effects().push(Effect::Decide(why));
            return self.redrive();
        }
        let owner = open.controller_id.as_deref().unwrap_or("unknown");
        open.reason = Some(format!("waits for its turn among the retries of controller {owner}"));
        open.in_turn = true;
        open.deadline_ms = None;
        open.next_attempt_ms = Some(place_ms);
        self.effects().push(Effect::Retried);
        self.effects().push(Effect::Decide(DecisionKind::RetryDeferred));
    }

    /// Silence. While the stream holds the command JetStream owns it; only then is it sent again.
    fn deadline(&mut self, held: bool) {
        let (now_ms, durable_ms) = (self.context().now_ms, self.durable_ms());
        let open = self.open();
        if open.id.is_none() || open.deadline_ms.is_none_or(|at| at > now_ms) {
            return;
        }
        if held {
            open.arm_deadline(now_ms, durable_ms);
            return;
        }
        let core = open.lane == Some(Lane::Core);
        let failure = Failure {
            code: "no_report".into(),
            message: "the controller took the command and never reported".into(),
            retryable: true,
            user_error: false,
            scope: None,
        };
        self.attempt_failed(&failure, core);
    }

    /// An attempt came to nothing, and no report says so: where it is the one that is under way, it counts as failed.
    fn came_to_nothing(&mut self, failed: &FailedAttempt) {
        let open = self.open();
        let command = failed.command.or(open.id);
        let is_under_way = open.id.is_some() && open.id == command && open.deadline_ms.is_some();
        if is_under_way && failed.attempt.is_none_or(|attempt| attempt == 0 || attempt == open.attempt) {
            self.attempt_failed(&failed.error, false);
        }
    }

    /// The stream's store is gone: what was under way there is sent again at once, without blame.
    fn lost(&mut self) {
        let open = self.open();
        if open.id.is_some() && open.deadline_ms.is_some() {
            self.effects().push(Effect::Decide(DecisionKind::Redriven));
            self.redrive();
        }
    }

    /// An attempt of the open command ended badly: arm the next one (`at_once`: silence was the wait), or give up.
    fn attempt_failed(&mut self, error: &Failure, at_once: bool) {
        let (at_ms, jitter) = (self.context().now_ms, self.context().jitter);
        let open = self.open();
        let attempt = open.attempt;
        open.failures.push(Attempt { attempt, at_ms, error: error.clone() });
        open.message = Some(error.message.clone());
        match retry::delay_ms(attempt, jitter) {
            _ if !error.retryable => self.give_up("permanent", error),
            None => self.give_up("retries_exhausted", error),
            Some(_) if at_once => self.retry(DecisionKind::SentAgain),
            Some(delay) => {
                open.deadline_ms = None;
                open.next_attempt_ms = Some(at_ms + delay);
                open.reason = Some(format!("attempt {attempt} failed ({}); waiting to try again", error.code));
                self.effects().push(Effect::Decide(DecisionKind::RetryArmed));
            }
        }
    }
}
