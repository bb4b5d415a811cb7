//! Every pair of a state and what people ask, and the pairs of reports and timers that promises hang on.

use machine::Lane;
use machine::session::{Effect, Error, Event, Source, allowed, decide};
use streams::subject::Verb;
use streams::wire::SessionState as S;

use crate::world::{after, at, chosen, created, failed, id, in_state, reported, running, said, seen};

/// What an intent leads to: a state, or `None` where it is illegal.
fn expected(state: S, ask: &str) -> Option<S> {
    match (ask, state) {
        ("hibernate", S::Running | S::Creating | S::Waking | S::Hibernating) => Some(S::Hibernating),
        ("hibernate", S::Hibernated) => Some(S::Hibernated),
        ("hibernate", _) => None,
        ("wake", S::Hibernating | S::Hibernated | S::Failed | S::Waking) => Some(S::Waking),
        ("wake", S::Pending | S::Creating | S::Running) => Some(state),
        ("wake", _) => None,
        ("delete", S::Deleted) => Some(S::Deleted),
        ("delete", _) => Some(S::Deleting),
        ("activity" | "extend", S::Running | S::Creating | S::Waking) => Some(state),
        _ => None,
    }
}

fn event(ask: &str) -> Event {
    match ask {
        "hibernate" => Event::Hibernate,
        "wake" => Event::Wake(chosen(Lane::Durable)),
        "delete" => Event::Delete { force: false },
        "extend" => Event::Extend { by_s: 60 },
        _ => Event::Activity,
    }
}

#[test]
fn every_intent_in_every_state_does_what_the_table_says() {
    for state in S::ALL {
        let session = in_state(state);
        assert_eq!(session.status, state, "the history that leads to {state:?}");
        for ask in ["hibernate", "wake", "delete", "activity", "extend"] {
            let decision = decide(&session, &event(ask), &at(50_000, 900));
            match (expected(state, ask), decision) {
                (Some(to), Ok(decision)) => assert_eq!(decision.session.status, to, "{ask} in {state:?}"),
                (None, Err(Error::Illegal { allowed: ways, .. })) => {
                    assert!(!ways.contains(&ask), "{ask} is refused and offered in {state:?}");
                    assert_eq!(ways, allowed(state));
                }
                (to, decision) => panic!("{ask} in {state:?}: wanted {to:?}, got {decision:?}"),
            }
        }
    }
}

#[test]
fn asking_for_what_holds_changes_nothing() {
    for (state, ask) in
        [(S::Running, "wake"), (S::Hibernated, "hibernate"), (S::Deleted, "delete"), (S::Deleting, "delete")]
    {
        let session = in_state(state);
        let decision = after(&session, event(ask), &at(50_000, 900));
        assert_eq!((decision.session, decision.effects), (session, vec![]), "{ask} in {state:?}");
    }
}

#[test]
fn a_life_from_create_to_delete_ends_every_command() {
    let asleep = in_state(S::Hibernated);
    let waking = after(&asleep, Event::Wake(chosen(Lane::Durable)), &at(30_000, 400)).session;
    assert_eq!(waking.command.verb.as_deref(), Some(Verb::SessionWake.name()));
    let awake = reported(&waking, S::Running, 40);
    let deleting = after(&awake, Event::Delete { force: false }, &at(50_000, 401)).session;
    let gone = reported(&deleting, S::Deleted, 60);
    assert_eq!((gone.status, gone.command.id, gone.url), (S::Deleted, None, None));
}

#[test]
fn running_without_creating_is_legal_in_both_lanes() {
    assert_eq!(reported(&created(), S::Running, 1).status, S::Running);
}

#[test]
fn a_stale_report_never_overwrites_a_newer_one() {
    let session = running();
    let late = decide(&session, &said(seen(&created(), S::Creating, 1)), &at(9_000, 900)).expect("legal");
    assert_eq!((late.session, late.effects), (session, vec![Effect::Superseded]));
}

#[test]
fn a_new_epoch_of_the_stream_is_newer_whatever_its_sequence() {
    let session = running();
    let mut report = seen(&session, S::Deleted, 1);
    report.source = Source { epoch: 2, seq: 1 };
    report.causation_id = None;
    let decision = after(&session, said(report), &at(9_000, 900));
    assert_eq!(decision.session.status, S::Waking, "the world lost it, so it is started again");
}

#[test]
fn an_old_generation_that_claims_existence_after_the_end_gets_a_fresh_delete() {
    let gone = in_state(S::Deleted);
    let mut ghost = seen(&gone, S::Running, 99);
    ghost.generation = Some(1);
    let decision = after(&gone, said(ghost), &at(99_000, 900));
    assert_eq!(decision.session.status, S::Deleted, "people see no change");
    let sent = Effect::Send { event_id: id(900), verb: Verb::SessionDelete, ready: true, force: false };
    assert!(decision.effects.contains(&sent), "{:?}", decision.effects);
}

#[test]
fn reports_of_strangers_are_refused() {
    let mut report = seen(&running(), S::Deleted, 99);
    report.controller_id = "host-2".into();
    assert!(matches!(decide(&running(), &said(report), &at(0, 1)), Err(Error::NotOwner { .. })));
}

#[test]
fn an_attempt_that_came_to_nothing_counts_once_and_only_where_it_is_the_one_under_way() {
    use machine::session::FailedAttempt;
    use streams::wire::Failure;
    let first = created();
    let lost = |command, attempt, retryable| {
        let error = Failure { code: "report_parked".into(), message: "no".into(), retryable, ..Failure::default() };
        Event::AttemptFailed(Box::new(FailedAttempt { command, attempt, error }))
    };
    let armed = after(&first, lost(first.command.id, Some(1), true), &at(1_000, 500)).session;
    assert_eq!(
        (armed.command.failures.len(), armed.command.next_attempt_ms.is_some(), armed.command.deadline_ms),
        (1, true, None)
    );
    let twice = after(&armed, lost(first.command.id, Some(1), true), &at(1_001, 501));
    assert_eq!((twice.session, twice.effects), (armed, vec![]), "told twice, it counts once");
    for other in [lost(Some(id(77)), Some(1), true), lost(first.command.id, Some(2), true)] {
        let decision = after(&first, other, &at(1_000, 500));
        assert_eq!((decision.session, decision.effects), (first.clone(), vec![]));
    }
    let failed = after(&first, lost(first.command.id, Some(1), false), &at(1_000, 500));
    assert_eq!((failed.session.status, failed.session.command.id), (S::Failed, None));
}

#[test]
fn ten_retries_with_growing_delays_and_then_a_dead_letter() {
    let mut session = created();
    let mut now = 0;
    for attempt in 1..=10 {
        session = after(&session, said(failed(&session, i64::from(attempt), true)), &at(now, 500)).session;
        let due = session.command.next_attempt_ms.expect("a retry is due");
        assert_eq!(due - now, machine::retry::delay_ms(attempt, 0.0).expect("within the retries"));
        now = due;
        session = after(&session, Event::Tick, &at(now, 501)).session;
        assert_eq!(session.command.attempt, attempt + 1);
    }
    let last = after(&session, said(failed(&session, 11, true)), &at(now, 502));
    assert_eq!(last.session.status, S::Failed);
    let Some(Effect::Fail { cause, attempts, .. }) = last.effects.last() else { panic!("{:?}", last.effects) };
    assert_eq!((*cause, attempts.len()), ("retries_exhausted", 11));
}

#[test]
fn a_retry_waits_for_its_owner_without_spending_attempts() {
    let failing = after(&created(), said(failed(&created(), 1, true)), &at(0, 500)).session;
    let mut away = at(2_000, 501);
    away.owner_ready = false;
    let waiting = after(&failing, Event::Tick, &away).session;
    assert_eq!(
        (waiting.command.attempt, waiting.command.next_attempt_ms, waiting.command.deadline_ms),
        (1, None, None)
    );
    assert!(waiting.command.reason.as_deref().is_some_and(|why| why.contains("takes no work")));
    assert_eq!(after(&waiting, Event::OwnerReady, &at(9_000, 502)).session.command.attempt, 2);
}

#[test]
fn the_late_failure_of_an_overtaken_attempt_hides_nothing_that_the_newer_one_said() {
    let first = created();
    let again = after(&first, Event::Lost, &at(1_000, 500)).session;
    assert_eq!((again.command.attempt, again.command.id), (2, first.command.id));
    let overtaken = failed(&first, 8, true);
    let late = after(&again, said(overtaken), &at(2_000, 501)).session;
    assert_eq!((late.command.next_attempt_ms, late.command.seen_seq), (None, 0), "it is no news");
    assert_eq!(reported(&late, S::Running, 7).status, S::Running, "said before, and read after");
}

#[test]
fn a_permanent_failure_is_not_retried() {
    assert_eq!(in_state(S::Failed).command.id, None);
}

#[test]
fn silence_is_looked_into_only_when_the_stream_let_go() {
    let session = created();
    let due = session.command.deadline_ms.expect("armed");
    let held = after(&session, Event::Deadline { held: true }, &at(due, 600));
    assert_eq!((held.session.command.attempt, held.effects), (1, vec![]));
    let lost = after(&session, Event::Deadline { held: false }, &at(due, 600));
    assert!(lost.session.command.next_attempt_ms.is_some());
}

#[test]
fn a_command_that_kills_its_controller_again_and_again_is_poison() {
    let mut session = created();
    for run in 1..=4 {
        let mut began = seen(&session, S::Creating, run);
        began.instance_id = Some(id(1000 + run.unsigned_abs() as u128));
        session = after(&session, said(began), &at(run, 700)).session;
    }
    assert_eq!(session.status, S::Failed);
    assert!(session.command.reason.as_deref().is_some_and(|why| why.starts_with("poison")));
}

#[test]
fn a_run_that_begins_where_another_did_not_come_back_leaves_that_in_the_history() {
    let mut session = created();
    for (place, run) in [(1, 1001), (2, 1001), (3, 1002)] {
        let mut began = seen(&session, S::Creating, place);
        began.instance_id = Some(id(run));
        session = after(&session, said(began), &at(place, 700)).session;
    }
    let [lost] = &session.command.failures[..] else { panic!("{:?}", session.command.failures) };
    assert_eq!((lost.attempt, lost.at_ms, lost.error.code.as_str()), (1, 3, "run_lost"));
    assert!(lost.error.message.contains(&id(1001).to_string()) && lost.error.message.contains(&id(1002).to_string()));
    assert_eq!((session.status, session.command.attempt), (S::Creating, 1), "it is still under way");
}

#[test]
fn a_forced_delete_of_a_dead_owner_shows_deleted_and_keeps_the_debt_until_it_is_paid() {
    let mut away = at(50_000, 900);
    away.owner_ready = false;
    let owed = after(&running(), Event::Delete { force: true }, &away).session;
    assert_eq!((owed.status, owed.debt, owed.command.id), (S::Deleted, true, Some(id(900))));
    let paid = reported(&owed, S::Deleted, 77);
    assert_eq!((paid.status, paid.debt, paid.command.id), (S::Deleted, false, None));
}

#[test]
fn a_session_that_stops_by_itself_is_started_again_and_given_up_when_it_keeps_stopping() {
    let mut session = running();
    let mut seq = 10;
    for round in 1..=10 {
        let mut died = failed(&session, seq, true);
        died.causation_id = None;
        let now = session.last_activity_ms + 100;
        session = after(&session, said(died), &at(now, 2000 + round)).session;
        assert_eq!(session.status, S::Waking);
        let due = session.command.next_attempt_ms.expect("armed");
        session = after(&session, Event::Tick, &at(due.min(now + 1000), 3000)).session;
        session = after(&session, Event::Tick, &at(due, 3000)).session;
        session.last_activity_ms = 0;
        let mut up = seen(&session, S::Running, seq + 1);
        up.generation = Some(session.command.generation);
        session = after(&session, said(up), &at(1000, 4000)).session;
        assert_eq!(session.status, S::Running);
        seq += 2;
    }
    let mut died = failed(&session, seq, true);
    died.causation_id = None;
    assert_eq!(after(&session, said(died), &at(1100, 5000)).session.status, S::Failed);
}

#[test]
fn after_a_restore_from_backup_generations_are_raised_above_what_the_owner_knows() {
    let session = running();
    let mut report = seen(&session, S::Running, 50);
    report.generation = Some(41);
    let decision = after(&session, said(report), &at(50_000, 900));
    assert_eq!((decision.session.command.generation, decision.session.status), (42, S::Waking));
}

#[test]
fn an_amendment_leaves_alone_what_is_under_way_and_arms_idleness_only_where_it_runs() {
    for state in S::ALL {
        let before = in_state(state);
        match decide(&before, &Event::Amend { idle_timeout_s: Some(60) }, &at(50_000, 900)) {
            Ok(decision) => {
                let after = decision.session;
                assert_eq!(decision.effects, vec![], "{state:?}");
                assert_eq!((after.status, after.command.generation), (before.status, before.command.generation));
                assert_eq!(
                    (after.command.id, after.command.deadline_ms),
                    (before.command.id, before.command.deadline_ms)
                );
                assert_eq!(after.idle_ms.is_some(), state == S::Running, "{state:?}");
            }
            Err(error) => assert!(state == S::Deleted && matches!(error, Error::Illegal { .. }), "{error}"),
        }
    }
}
