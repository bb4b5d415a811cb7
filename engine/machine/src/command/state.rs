//! The state of an open command, which sessions, applications and pending clean-ups embed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Attempt, CORE_DEADLINE_MS};
use crate::Lane;
use crate::facts::Columns;
use crate::placement::Place;

/// The open command of an entity: to whom it goes, how far it is, and which reports count for it.
///
/// In SQL its fields are columns of the entity's own table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandState {
    /// Grows with every change of what is desired; only the engine raises it.
    pub generation: i64,
    /// The entity's owner, once placed.
    pub controller_id: Option<String>,
    /// How the owner is reached.
    pub lane: Option<Lane>,
    /// Why the entity waits, or why the engine moved it; for people.
    pub reason: Option<String>,
    /// The owner's last message; for people.
    pub message: Option<String>,
    /// The open command; `None` while nothing is asked of the owner.
    #[serde(rename = "command_id")]
    pub id: Option<Uuid>,
    /// Its verb, as `session.create`.
    #[serde(rename = "command_verb")]
    pub verb: Option<String>,
    /// Its attempt, counted from 1; 0 while it was never sent.
    pub attempt: i32,
    /// Runs of the owner that began this attempt.
    pub starts: i32,
    /// The run that began it last.
    pub starter: Option<Uuid>,
    /// When the next attempt is due, in milliseconds since the epoch.
    pub next_attempt_ms: Option<i64>,
    /// `next_attempt_ms` is a slot in the owner's budget of retries.
    pub in_turn: bool,
    /// Soft: when the open command's silence is looked into, in milliseconds since the epoch.
    pub deadline_ms: Option<i64>,
    /// Failed attempts of the open command; of a session also its own recent failures.
    pub failures: Vec<Attempt>,
    /// Fence: generation of the newest report that was applied.
    pub seen_generation: i64,
    /// Fence: its stream's epoch.
    pub seen_epoch: i64,
    /// Fence: its sequence in the stream.
    pub seen_seq: i64,
}

impl CommandState {
    /// Of an entity that is new: no command, no owner, no report.
    #[must_use]
    pub const fn new(generation: i64) -> Self {
        Self {
            generation,
            controller_id: None,
            lane: None,
            reason: None,
            message: None,
            id: None,
            verb: None,
            attempt: 0,
            starts: 0,
            starter: None,
            next_attempt_ms: None,
            in_turn: false,
            deadline_ms: None,
            failures: Vec::new(),
            seen_generation: 0,
            seen_epoch: 0,
            seen_seq: 0,
        }
    }

    /// The open command waits for a place or an owner: nothing is under way and no retry is due.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.id.is_some() && self.deadline_ms.is_none() && self.next_attempt_ms.is_none()
    }

    /// When the open command is to be looked at, in milliseconds since the epoch.
    #[must_use]
    pub fn due_ms(&self) -> Option<i64> {
        self.next_attempt_ms.into_iter().chain(self.deadline_ms).min()
    }

    /// An open command that waits for no time and no reason, and whose silence nobody would look into, is looked into now.
    pub fn watch(&mut self, now_ms: i64) {
        let waits = self.next_attempt_ms.is_some() || self.reason.is_some();
        self.deadline_ms = self.id.and(self.deadline_ms.or((!waits).then_some(now_ms)));
    }

    /// Goes over the hard columns; `message` is the name of that of [`Self::message`].
    pub(crate) fn columns<C: Columns>(
        &self,
        before: &Self,
        message_column: &'static str,
        to: &mut C,
    ) -> Result<(), C::Error> {
        #[rustfmt::skip]
        let Self {
            generation, controller_id, lane, reason, message, id, verb, attempt, starts, starter, next_attempt_ms, in_turn,
            deadline_ms: _, failures, seen_generation, seen_epoch, seen_seq,
        } = self;
        to.column("generation", generation, &before.generation)?;
        to.column("controller_id", controller_id, &before.controller_id)?;
        to.column("lane", lane, &before.lane)?;
        to.column("reason", reason, &before.reason)?;
        to.column(message_column, message, &before.message)?;
        to.column("command_id", id, &before.id)?;
        to.column("command_verb", verb, &before.verb)?;
        to.column("attempt", attempt, &before.attempt)?;
        to.column("starts", starts, &before.starts)?;
        to.column("starter", starter, &before.starter)?;
        to.column("next_attempt_ms", next_attempt_ms, &before.next_attempt_ms)?;
        to.column("in_turn", in_turn, &before.in_turn)?;
        to.column("failures", failures, &before.failures)?;
        to.column("seen_generation", seen_generation, &before.seen_generation)?;
        to.column("seen_epoch", seen_epoch, &before.seen_epoch)?;
        to.column("seen_seq", seen_seq, &before.seen_seq)
    }

    pub(super) fn arm_deadline(&mut self, now_ms: i64, durable_ms: i64) {
        let allowed_ms = if self.lane == Some(Lane::Core) { CORE_DEADLINE_MS } else { durable_ms };
        self.deadline_ms = Some(now_ms + allowed_ms);
    }

    /// Stores the chosen controller, or why there is none.
    pub(super) fn assign(&mut self, place: &Place) {
        match place {
            Place::Chosen { controller_id, lane, .. } => {
                self.controller_id = Some(controller_id.clone());
                self.lane = Some(*lane);
            }
            Place::Wait(reason) => self.reason = Some(reason.clone()),
        }
    }
}
