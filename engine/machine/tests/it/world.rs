//! Facts, events and contexts for the tests.

use machine::placement::Place;
use machine::room::Room;
use machine::session::{Decision, Event, Observation, Session, Source, create, decide};
use machine::{Context, Lane};
use streams::wire::{Failure, SessionState};
use uuid::Uuid;

pub(crate) const OWNER: &str = "host-1";

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn at(now_ms: i64, fresh: u128) -> Context {
    Context {
        now_ms,
        fresh_id: id(fresh),
        jitter: 0.0,
        owner_ready: true,
        retry_ms: i64::MIN,
        room: Some(Room::UNBOUNDED),
        readiness_ms: 0,
        owner_lane: None,
    }
}

pub(crate) fn chosen(lane: Lane) -> Place {
    Place::Chosen { controller_id: OWNER.into(), lane, why: "the only one".into() }
}

/// A placed session with an open create command.
pub(crate) fn created() -> Session {
    create(id(1), &chosen(Lane::Durable), Some(60), Some(3600), &at(0, 100)).session
}

/// A report of the owner about the session's present generation and open command.
pub(crate) fn seen(session: &Session, status: SessionState, seq: i64) -> Observation {
    Observation {
        controller_id: OWNER.into(),
        lane: session.command.lane.unwrap_or(Lane::Durable),
        source: Source { epoch: 1, seq },
        status,
        generation: Some(session.command.generation),
        causation_id: session.command.id,
        attempt: Some(session.command.attempt),
        instance_id: Some(id(7)),
        error: None,
        url: None,
        pod_name: None,
        phase: None,
        message: None,
        connections: None,
        in_use: false,
    }
}

pub(crate) fn failed(session: &Session, seq: i64, retryable: bool) -> Observation {
    let error = Failure { code: "boom".into(), message: "boom".into(), retryable, user_error: false, scope: None };
    Observation { error: Some(error), ..seen(session, SessionState::Failed, seq) }
}

/// Decides an event that must be legal.
pub(crate) fn after(session: &Session, event: Event, context: &Context) -> Decision {
    decide(session, &event, context).unwrap_or_else(|error| panic!("{event:?} was refused: {error}"))
}

pub(crate) fn reported(session: &Session, status: SessionState, seq: i64) -> Session {
    after(session, said(seen(session, status, seq)), &at(1000 * seq, 200 + seq.unsigned_abs() as u128)).session
}

pub(crate) fn running() -> Session {
    reported(&reported(&created(), SessionState::Creating, 1), SessionState::Running, 2)
}

/// A session in each state, reached by a history and not by hand.
pub(crate) fn in_state(state: SessionState) -> Session {
    use SessionState as S;
    let context = at(10_000, 300);
    let asked = |event| after(&running(), event, &context).session;
    match state {
        S::Pending => created(),
        S::Creating => reported(&created(), S::Creating, 1),
        S::Running => running(),
        S::Hibernating => asked(Event::Hibernate),
        S::Hibernated => reported(&asked(Event::Hibernate), S::Hibernated, 11),
        S::Waking => after(&in_state(S::Hibernated), Event::Wake(chosen(Lane::Durable)), &at(20_000, 301)).session,
        S::Deleting => asked(Event::Delete { force: false }),
        S::Deleted => reported(&asked(Event::Delete { force: false }), S::Deleted, 12),
        S::Failed => after(&created(), said(failed(&created(), 1, false)), &context).session,
    }
}

/// The event that an observation is.
pub(crate) fn said(observation: Observation) -> Event {
    Event::Report(Box::new(observation))
}
