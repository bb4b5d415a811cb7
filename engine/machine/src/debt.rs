//! What an owner that was revoked still owes: the removal of a session that has moved on to another controller.
//!
//! A debt is one open delete for the former owner, at a generation above all that it knows. It has an attempt, a deadline and a
//! fence of its own ([`crate::command`]), so that it waits for an owner that is away without holding up the session, and is
//! sent again whatever is lost meanwhile. It is settled by the former owner's own word that nothing is there.

use serde::{Deserialize, Serialize};
use streams::subject::Verb;
use streams::wire::SessionState as S;
use uuid::Uuid;

use crate::command::{CommandState, Commanded, DecisionKind, Effect, Error, FailedAttempt, Listens as _, Worth, word};
use crate::facts::facts;
use crate::session::Observation;
use crate::{Context, Lane};

/// Where a debt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The former owner has, or may have, something of the session.
    Owed,
    /// It said that nothing is there.
    Settled,
    /// It could not: a dead letter tells why.
    Failed,
}

impl Status {
    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owed => "owed",
            Self::Settled => "settled",
            Self::Failed => "failed",
        }
    }

    /// The status of a spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Owed, Self::Settled, Self::Failed].into_iter().find(|status| status.as_str() == name)
    }
}

/// The facts of a debt. What is named as in `session::Session` means the same.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // as said
pub struct Debt {
    pub debt_id: Uuid,
    pub status: Status,
    /// Its delete, and the former owner.
    pub command: CommandState,
}

facts!(Debt:
    hard [debt_id, status],
    message "message",
    soft []
);

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It is owed once more: the session was there again, and has moved on again, at this generation.
    Owed(i64),
    /// An operator replays its dead letter.
    Again,
    /// The owner takes work again.
    OwnerReady,
    /// The former owner reports on the session.
    Report(Box<Observation>),
    /// Time passed.
    Tick,
    /// The deadline passed; `held` says whether the stream still has the command.
    Deadline {
        /// JetStream still owns the delivery.
        held: bool,
    },
    /// JetStream lost the command (its store is gone).
    Lost,
    /// An attempt came to nothing, and no report says so.
    AttemptFailed(Box<FailedAttempt>),
}

/// New facts and what is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The facts after the event.
    pub debt: Debt,
    /// What is to be done.
    pub effects: Vec<Effect>,
}

/// The first facts of a debt, and its delete: `generation` is above all that the former owner was told.
#[must_use]
pub fn create(debt_id: Uuid, controller_id: &str, lane: Lane, generation: i64, context: &Context) -> Decision {
    let debt = Debt {
        debt_id,
        status: Status::Owed,
        command: CommandState {
            controller_id: Some(controller_id.to_owned()),
            lane: Some(lane),
            ..CommandState::new(generation)
        },
    };
    let mut step = Step { debt, effects: Vec::new(), context };
    step.issue(true);
    Decision { debt: step.debt, effects: step.effects }
}

/// Decides.
///
/// # Errors
/// [`Error`] where the pair of state and event is illegal; the facts then stay as they are.
pub fn decide(debt: &Debt, event: &Event, context: &Context) -> Result<Decision, Error> {
    let mut step = Step { debt: debt.clone(), effects: Vec::new(), context };
    step.follow_owner();
    match event {
        Event::Owed(generation) => step.owed(*generation),
        Event::Again => step.again()?,
        Event::OwnerReady => step.owner_ready(),
        Event::Report(seen) => step.report(seen)?,
        Event::Tick => step.retry_if_due(),
        Event::Deadline { held } => step.deadline(*held),
        Event::Lost => step.lost(),
        Event::AttemptFailed(failed) => step.came_to_nothing(failed),
    }
    Ok(Decision { debt: step.debt, effects: step.effects })
}

/// One decision in the making.
struct Step<'a> {
    debt: Debt,
    effects: Vec<Effect>,
    context: &'a Context,
}

impl Commanded for Step<'_> {
    fn open(&mut self) -> &mut CommandState {
        &mut self.debt.command
    }

    fn effects(&mut self) -> &mut Vec<Effect> {
        &mut self.effects
    }

    fn context(&self) -> &Context {
        self.context
    }

    fn verb(&self) -> Verb {
        Verb::SessionDelete
    }

    fn ends(&self) -> bool {
        true
    }

    fn placeable(&self) -> bool {
        false
    }

    fn failed(&mut self) {
        self.debt.status = Status::Failed;
    }
}

impl Step<'_> {
    /// It is asked for (again), above what the owner knows.
    fn delete(&mut self) {
        self.debt.status = Status::Owed;
        self.debt.command.message = None;
        self.command(true);
    }

    fn owed(&mut self, generation: i64) {
        if generation > self.debt.command.generation {
            self.debt.command.generation = generation - 1;
            self.delete();
        }
    }

    fn again(&mut self) -> Result<(), Error> {
        if self.debt.status != Status::Failed {
            let state = self.debt.status.as_str();
            return Err(Error::Illegal { what: "a debt", state, asked: "replay", allowed: Vec::new() });
        }
        self.delete();
        Ok(())
    }

    fn report(&mut self, seen: &Observation) -> Result<(), Error> {
        match self.weigh(word!(seen))? {
            Worth::Old => {}
            Worth::Future => {
                self.effects.push(Effect::Decide(DecisionKind::GenerationRaised));
                self.delete();
            }
            Worth::Afterthought => self.look(seen),
            Worth::News => match &seen.error {
                Some(error) => {
                    self.answered_badly(word!(seen), error);
                }
                None => self.progress(seen),
            },
        }
        Ok(())
    }

    fn progress(&mut self, seen: &Observation) {
        let open = self.debt.command.id;
        match open {
            Some(event_id) if seen.status == S::Deleted => {
                self.done(event_id);
                self.debt.status = Status::Settled;
                self.debt.command.reason = None;
                self.debt.command.failures.clear();
            }
            Some(event_id) if seen.status == S::Deleting && self.answers_open_command(word!(seen)) => {
                self.began(event_id, word!(seen));
            }
            _ => self.look(seen),
        }
    }

    /// What was settled, or given up, and exists nevertheless is deleted again.
    fn look(&mut self, seen: &Observation) {
        if self.debt.command.id.is_none() && seen.claims_existence() {
            self.effects.push(Effect::Decide(DecisionKind::ExistsAgain));
            self.delete();
        }
    }
}
