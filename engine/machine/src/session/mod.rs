//! The life of a session: facts, events, effects, and one decision for each pair of state and event.
//!
//! `intent` is what people ask for, `report` what the owner says, `timer` what time does, `idleness` why it is awake and when
//! it is stopped, `place` who gets it. The invariant
//! that holds them together: a session has at most one open command, of its present generation; a newer intent supersedes it.

mod facts;
mod idleness;
mod intent;
mod place;
mod report;
mod timer;

use streams::subject::Verb;
use streams::wire::{Failure, SessionState};
use uuid::Uuid;

use crate::{Context, Lane, placement::Place};

pub use facts::{Attempt, Desired, SOFT, Session};
pub use idleness::{
    Awake, Limit, MAX_EXTENSIONS_S, MAX_LEAD_MS, MIN_EXTENSIONS_S, Reason, Sign, Stop, Warning, awake, due, next_stop,
};
pub use report::{Observation, Source};

/// How long a durable command may take before the engine looks after it, in milliseconds. Longer than a controller's own
/// limit (5 min), so that the controller's error comes first.
pub const DEADLINE_MS: i64 = 360_000;
/// How long a core-lane controller may be silent before the same command is sent again, in milliseconds.
pub const CORE_DEADLINE_MS: i64 = 30_000;
/// Starts of one attempt by different runs of a controller, without an end, after which the command counts as poison.
pub const MAX_STARTS: i32 = 3;
/// Failures that are older than this do not count towards giving up on a session that fails by itself, in milliseconds.
pub const FAILURE_WINDOW_MS: i64 = 600_000;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Someone wants it asleep.
    Hibernate,
    /// Someone wants it awake. The place is used where it has no owner.
    Wake(Place),
    /// Someone wants it gone.
    Delete {
        /// Do not wait for an owner that is dead.
        force: bool,
    },
    /// An operator replays its dead letter: what is desired is tried once more.
    Again,
    /// Someone uses it.
    Activity,
    /// Someone changes what is attached to it, and how long it may be idle.
    Amend {
        /// Seconds; `None`: as long as it likes.
        idle_timeout_s: Option<i64>,
    },
    /// Someone wants its coming stops pushed.
    Extend {
        /// How far, in seconds.
        by_s: i64,
    },
    /// Placement looked again for a session that waits.
    Placed(Place),
    /// The owner takes work again.
    OwnerReady,
    /// The owner reports.
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
}

/// What is to be done, in order, in the transaction that stores the new facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write a command to the outbox.
    Send {
        /// Its identity.
        event_id: Uuid,
        /// What.
        verb: Verb,
        /// `false`: it waits for a place or for its owner.
        ready: bool,
        /// For deletes.
        force: bool,
    },
    /// Put a command that is in the outbox back to be published, with the session's present attempt.
    Redrive {
        /// Which.
        event_id: Uuid,
    },
    /// The owner began.
    Started {
        /// Which.
        event_id: Uuid,
    },
    /// The command ended well, or was overtaken (`superseded`).
    Complete {
        /// Which.
        event_id: Uuid,
        /// Overtaken by a newer generation.
        superseded: bool,
    },
    /// The command ended badly: dead-letter it with its history.
    Fail {
        /// Which.
        event_id: Uuid,
        /// `retries_exhausted`, `permanent` or `poison`.
        cause: &'static str,
        /// The last error.
        error: String,
        /// Every attempt.
        attempts: Vec<Attempt>,
    },
    /// Write down a decision of the engine's own, named for people and for folding.
    Decide(&'static str),
    /// Write down a warning of a coming stop.
    Warn(Warning),
    /// The report is older than what was applied: log it so.
    Superseded,
}

/// New facts and what is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The facts after the event.
    pub session: Session,
    /// What is to be done.
    pub effects: Vec<Effect>,
}

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What was asked is not possible in this state.
    #[error("a session that is {} cannot {asked}; possible now: {}", state.as_str(), allowed.join(", "))]
    Illegal {
        /// Where it stands.
        state: SessionState,
        /// What was asked.
        asked: &'static str,
        /// What may be asked.
        allowed: Vec<&'static str>,
    },
    /// A report by someone who does not own the session.
    #[error("session belongs to controller {owner}, not to {reporter}")]
    NotOwner {
        /// The owner, or "nobody".
        owner: String,
        /// Who reported.
        reporter: String,
    },
    /// More extension than one run gets.
    #[error("{by_s} s more are asked for, and {left_s} s of the {total_s} s that one run may be extended by are left")]
    TooFar {
        /// Asked for, in seconds.
        by_s: i64,
        /// Left for this run, in seconds.
        left_s: i64,
        /// What a run of this session may be extended by, in seconds.
        total_s: i64,
    },
    /// A report that makes no sense.
    #[error("{0}")]
    Nonsense(String),
}

/// Decides.
///
/// # Errors
/// [`Error`] where the pair of state and event is illegal; the facts then stay as they are.
pub fn decide(session: &Session, event: &Event, context: &Context) -> Result<Decision, Error> {
    let mut step = Step { session: session.clone(), effects: Vec::new(), context };
    match event {
        Event::Hibernate => step.hibernate()?,
        Event::Wake(place) => step.wake(place)?,
        Event::Delete { force } => step.delete(*force),
        Event::Again => step.again()?,
        Event::Activity => step.activity()?,
        Event::Amend { idle_timeout_s } => step.amend(*idle_timeout_s)?,
        Event::Extend { by_s } => step.extend(*by_s)?,
        Event::Placed(place) => step.placed(place),
        Event::OwnerReady => step.owner_ready(),
        Event::Report(observation) => step.report(observation)?,
        Event::Tick => step.tick(),
        Event::Deadline { held } => step.deadline(*held),
        Event::Lost => step.lost(),
    }
    if step.session.reason.is_none() {
        step.explain_wait();
    }
    step.session.idle_ms = due(&step.session);
    Ok(Decision { session: step.session, effects: step.effects })
}

pub use intent::create;

/// What may be asked of a session in a state, for the answer to an illegal request.
#[must_use]
pub fn allowed(state: SessionState) -> Vec<&'static str> {
    use SessionState as S;
    match state {
        S::Running | S::Creating | S::Waking => vec!["hibernate", "delete", "activity", "extend"],
        S::Hibernating | S::Hibernated | S::Failed => vec!["wake", "delete"],
        S::Pending | S::Deleting => vec!["delete"],
        S::Deleted => vec![],
    }
}

/// One decision in the making.
struct Step<'a> {
    session: Session,
    effects: Vec<Effect>,
    context: &'a Context,
}

impl Step<'_> {
    fn illegal(&self, asked: &'static str) -> Error {
        let state = self.session.status;
        Error::Illegal { state, asked, allowed: allowed(state) }
    }

    /// The verb that leads to what is desired. Waking is creating with a home that may exist, so only the first start of a
    /// session that was never sent anywhere is a create.
    fn verb(&self) -> Verb {
        match self.session.desired {
            Desired::Running if self.session.seen_generation == 0 => Verb::SessionCreate,
            Desired::Running => Verb::SessionWake,
            Desired::Hibernated => Verb::SessionHibernate,
            Desired::Deleted => Verb::SessionDelete,
        }
    }

    /// A new generation: whatever was open is overtaken, and a fresh command leads to what is desired now.
    fn command(&mut self, force: bool) {
        self.supersede();
        self.session.generation += 1;
        self.issue(force);
    }

    /// Opens the command that leads to what is desired, at the present generation.
    fn issue(&mut self, force: bool) {
        let verb = self.verb();
        let ready = self.session.controller_id.is_some() && (verb == Verb::SessionDelete || self.context.owner_ready);
        let event_id = self.context.fresh_id;
        self.session.command_id = Some(event_id);
        self.session.command_verb = Some(verb.name().to_owned());
        self.session.attempt = 0;
        if ready {
            self.attempt();
        }
        self.effects.push(Effect::Send { event_id, verb, ready, force });
    }

    /// The next attempt of the open command is on its way.
    fn attempt(&mut self) {
        self.session.attempt += 1;
        self.session.starts = 0;
        self.session.starter = None;
        self.session.next_attempt_ms = None;
        self.session.reason = None;
        self.arm_deadline();
    }

    fn arm_deadline(&mut self) {
        let patience = if self.session.lane == Some(Lane::Core) { CORE_DEADLINE_MS } else { DEADLINE_MS };
        self.session.deadline_ms = Some(self.context.now_ms + patience);
    }

    /// Closes the open command's book on the session; the caller says how the command ended.
    fn close(&mut self) -> Option<Uuid> {
        let s = &mut self.session;
        s.command_verb = None;
        s.attempt = 0;
        s.starts = 0;
        s.starter = None;
        s.next_attempt_ms = None;
        s.deadline_ms = None;
        s.command_id.take()
    }

    fn supersede(&mut self) {
        self.session.failures.clear();
        if let Some(event_id) = self.close() {
            self.effects.push(Effect::Complete { event_id, superseded: true });
        }
    }

    fn give_up(&mut self, cause: &'static str, error: &Failure) {
        let attempts = std::mem::take(&mut self.session.failures);
        if !self.session.debt {
            self.session.status = SessionState::Failed; // a debt is shown as deleted, and stays one
        }
        self.session.reason = Some(format!("{cause}: {}", error.code));
        self.session.message = Some(error.message.clone());
        self.end_run();
        if let Some(event_id) = self.close() {
            self.effects.push(Effect::Fail { event_id, cause, error: error.message.clone(), attempts });
        }
    }

    /// The open command waits for a place or an owner: nothing is under way and no retry is due.
    fn waits(&self) -> bool {
        let s = &self.session;
        s.command_id.is_some() && s.deadline_ms.is_none() && s.next_attempt_ms.is_none()
    }

    fn redrive(&mut self) {
        if let Some(event_id) = self.session.command_id {
            self.attempt();
            self.effects.push(Effect::Redrive { event_id });
        }
    }
}
