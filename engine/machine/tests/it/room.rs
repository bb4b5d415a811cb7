//! Room on the owner: every start needs a place, what has one keeps it over failures, and what ends gives it back.

use machine::command::DEADLINE_MS;
use machine::room::Room;
use machine::session::{Effect, Event, Session, decide};
use machine::{Context, Lane};
use streams::wire::SessionState as S;

use crate::world::{after, at, chosen, created, failed, in_state, reported, running, said, seen};

const FULL: Room = Room { held: 3, max: Some(3) };

fn full(now_ms: i64, fresh: u128) -> Context {
    Context { room: Some(FULL), ..at(now_ms, fresh) }
}

fn started(session: &Session) -> bool {
    session.command.deadline_ms.is_some() || session.command.next_attempt_ms.is_some()
}

#[test]
fn what_is_created_with_a_place_holds_room_and_keeps_it_over_failed_attempts_and_restarts() {
    assert!(created().has_room);
    let failing = after(&created(), said(failed(&created(), 1, true)), &full(0, 500)).session;
    assert!(failing.has_room, "it holds its place while it waits for the next attempt");
    let again = after(&failing, Event::Tick, &full(5_000, 501)).session;
    assert_eq!((again.command.attempt, again.has_room), (2, true), "and needs no second one");
    let mut died = failed(&running(), 10, true);
    died.causation_id = None;
    let waking = after(&running(), said(died), &full(9_000, 502)).session;
    assert_eq!((waking.status, waking.has_room), (S::Waking, true), "nor for a restart after it stopped by itself");
    let back = after(&waking, Event::Tick, &full(99_000, 503)).session;
    assert!(back.command.deadline_ms.is_some());
}

#[test]
fn what_sleeps_is_deleted_or_given_up_holds_none() {
    for state in S::ALL {
        let holds = !matches!(state, S::Hibernated | S::Deleted | S::Failed);
        assert_eq!(in_state(state).has_room, holds, "{state:?}");
    }
}

#[test]
fn a_wake_without_room_waits_with_the_reason_and_no_deadline_and_is_served_when_there_is_some() {
    let asleep = in_state(S::Hibernated);
    let decision = after(&asleep, Event::Wake(chosen(Lane::Durable)), &full(30_000, 600));
    let waiting = &decision.session;
    assert!(decision.effects.iter().any(|effect| matches!(effect, Effect::Send { ready: false, .. })));
    assert_eq!((waiting.status, waiting.awaits_room(), started(waiting)), (S::Waking, true, false));
    assert_eq!(waiting.command.reason.as_deref(), Some("controller host-1 has no room now (3 of 3 sessions)"));
    let still = after(waiting, Event::OwnerReady, &full(40_000, 601));
    assert_eq!((still.session, still.effects), (waiting.clone(), vec![]), "nothing is written while nothing changes");
    let served = after(waiting, Event::OwnerReady, &at(50_000, 602)).session;
    assert_eq!((served.has_room, served.command.attempt, served.command.reason), (true, 1, None));
    assert_eq!(served.command.deadline_ms, Some(50_000 + DEADLINE_MS), "it counts from here");
}

#[test]
fn where_nobody_counted_nothing_that_needs_a_place_is_started() {
    let uncounted = Context { room: None, ..at(30_000, 600) };
    let waiting = after(&in_state(S::Hibernated), Event::Wake(chosen(Lane::Durable)), &uncounted).session;
    assert!(waiting.awaits_room() && waiting.command.reason.is_some());
}

#[test]
fn a_replay_of_what_failed_and_a_start_after_a_restore_need_a_place_as_well() {
    let again = after(&in_state(S::Failed), Event::Again, &full(30_000, 600)).session;
    assert!(again.awaits_room(), "{again:?}");
    let mut ahead = seen(&in_state(S::Failed), S::Hibernated, 50);
    ahead.generation = Some(41);
    let raised = after(&in_state(S::Failed), said(ahead), &full(30_000, 601)).session;
    assert!(raised.awaits_room() && raised.command.generation == 42, "{raised:?}");
}

#[test]
fn waking_what_still_goes_to_sleep_needs_no_second_place() {
    let waking = after(&in_state(S::Hibernating), Event::Wake(chosen(Lane::Durable)), &full(30_000, 600)).session;
    assert!(waking.has_room && waking.command.deadline_ms.is_some());
}

#[test]
fn what_waits_for_room_can_be_hibernated_and_deleted_at_once() {
    let waiting = after(&in_state(S::Hibernated), Event::Wake(chosen(Lane::Durable)), &full(30_000, 600)).session;
    for event in [Event::Hibernate, Event::Delete { force: false }] {
        let next = after(&waiting, event.clone(), &full(31_000, 601)).session;
        assert!(next.command.deadline_ms.is_some() && !next.has_room, "{event:?}: {next:?}");
    }
}

#[test]
fn what_runs_without_having_been_started_holds_room_nevertheless() {
    let recovered = reported(&in_state(S::Failed), S::Running, 60);
    assert_eq!((recovered.status, recovered.has_room), (S::Running, true));
}

#[test]
fn the_deadline_follows_the_time_that_the_template_gives_a_start() {
    let slow = Context { readiness_ms: 3_600_000, ..at(30_000, 600) };
    let waking = after(&in_state(S::Hibernated), Event::Wake(chosen(Lane::Durable)), &slow).session;
    assert_eq!(waking.command.deadline_ms, Some(30_000 + DEADLINE_MS + 3_600_000));
    let held = decide(&waking, &Event::Deadline { held: true }, &Context { now_ms: 9_000_000, ..slow }).expect("legal");
    assert_eq!(held.session.command.deadline_ms, Some(9_000_000 + DEADLINE_MS + 3_600_000));
    let deleting = after(&waking, Event::Delete { force: false }, &slow).session;
    assert_eq!(deleting.command.deadline_ms, Some(30_000 + DEADLINE_MS), "an end is not a start");
}
