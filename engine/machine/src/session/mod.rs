//! The life of a session: facts, events, effects, and one decision for each pair of state and event.
//!
//! `intent` is what people ask for, `report` what the owner says, `timer` what time does, `idleness` why it is awake and when
//! it is stopped. The invariant
//! that holds them together: a session has at most one open command, of its present generation; a newer intent supersedes it.

mod facts;
mod idleness;
mod intent;
mod moved;
mod report;
mod timer;

use streams::subject::Verb;
use streams::wire::SessionState;

use crate::command::{CommandState, Commanded, DEADLINE_MS};
use crate::{Context, placement::Place};

pub use crate::command::{Attempt, Effect, Error, FailedAttempt, Source};
pub use facts::{Desired, Session};
pub use idleness::{
    Awake, Limit, MAX_EXTENSIONS_S, MAX_LEAD_MS, MIN_EXTENSIONS_S, Reason, Sign, Stop, Warning, awake, due, next_stop,
};
pub use report::Observation;

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
    /// An operator has revoked its owner. The place is where it goes.
    Moved(Place),
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
    /// An attempt came to nothing, and no report says so.
    AttemptFailed(Box<FailedAttempt>),
}

/// New facts and what is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The facts after the event.
    pub session: Session,
    /// What is to be done.
    pub effects: Vec<Effect>,
}

/// Decides.
///
/// # Errors
/// [`Error`] where the pair of state and event is illegal; the facts then stay as they are.
pub fn decide(session: &Session, event: &Event, context: &Context) -> Result<Decision, Error> {
    let mut step = Step { session: session.clone(), effects: Vec::new(), context };
    if !matches!(event, Event::Moved(_)) {
        step.follow_owner(); // what is known of a session that moves is known of its next owner
    }
    match event {
        Event::Hibernate => step.hibernate()?,
        Event::Wake(place) => step.wake(place)?,
        Event::Delete { force } => step.delete(*force),
        Event::Again => step.again()?,
        Event::Activity => step.activity()?,
        Event::Amend { idle_timeout_s } => step.amend(*idle_timeout_s)?,
        Event::Extend { by_s } => step.extend(*by_s)?,
        Event::Moved(place) => step.moved(place),
        Event::Placed(place) => step.placed(place),
        Event::OwnerReady => step.owner_ready(),
        Event::Report(observation) => step.report(observation)?,
        Event::Tick => step.tick(),
        Event::Deadline { held } => step.deadline(*held),
        Event::Lost => step.lost(),
        Event::AttemptFailed(failed) => step.came_to_nothing(failed),
    }
    if step.session.command.reason.is_none() {
        step.explain_wait();
    }
    step.settle_room();
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

impl Commanded for Step<'_> {
    fn open(&mut self) -> &mut CommandState {
        &mut self.session.command
    }

    fn effects(&mut self) -> &mut Vec<Effect> {
        &mut self.effects
    }

    fn context(&self) -> &Context {
        self.context
    }

    /// Waking is creating with a home that may exist, so only the first start of a session that was never sent anywhere is a
    /// create.
    fn verb(&self) -> Verb {
        match self.session.desired {
            Desired::Running if self.session.command.seen_generation == 0 => Verb::SessionCreate,
            Desired::Running => Verb::SessionWake,
            Desired::Hibernated => Verb::SessionHibernate,
            Desired::Deleted => Verb::SessionDelete,
        }
    }

    fn ends(&self) -> bool {
        self.session.desired == Desired::Deleted
    }

    fn placeable(&self) -> bool {
        !matches!(self.session.status, SessionState::Deleted | SessionState::Deleting)
    }

    fn placed_because(&mut self, why: &str) {
        self.session.placement = Some(why.to_owned());
    }

    fn needs_room(&self) -> bool {
        self.session.desired == Desired::Running && !self.session.has_room
    }

    fn take_room(&mut self) {
        self.session.has_room |= self.session.desired == Desired::Running;
    }

    fn durable_ms(&self) -> i64 {
        let start = self.session.desired == Desired::Running;
        DEADLINE_MS + if start { self.context.readiness_ms } else { 0 }
    }

    fn failed(&mut self) {
        if !self.session.debt {
            self.session.status = SessionState::Failed; // a debt is shown as deleted, and stays one
        }
        self.end_run();
    }
}

impl Step<'_> {
    /// What sleeps, is gone or was given up holds no room; what runs holds some, however it came to run.
    fn settle_room(&mut self) {
        let s = &mut self.session;
        s.has_room = s.command.controller_id.is_some()
            && match s.status {
                SessionState::Hibernated | SessionState::Deleted | SessionState::Failed => false,
                SessionState::Running => true,
                _ => s.has_room,
            };
    }

    fn illegal(&self, asked: &'static str) -> Error {
        let state = self.session.status;
        Error::Illegal { what: "a session", state: state.as_str(), asked, allowed: allowed(state) }
    }
}
