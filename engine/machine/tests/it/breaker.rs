//! The circuit breaker: what each event does to it in each of its states, and what an operator's word is worth.

use machine::breaker::{
    Breaker, FAILING, FAILURES, Failing, GRACE_MS, Kind, Kinds, MAX_OPEN_MS, OPEN_MS, Order, PROBE_MS, RAN, State,
    THRESHOLD,
};
use machine::controller::{Controller, Event, decide};
use proptest::prelude::*;
use streams::wire::{ControllerHealth, Scope};
use uuid::Uuid;

use crate::world::id;

const PROBE: u128 = 7;

fn of(session: u128, template: &str) -> Failing {
    Failing { id: id(session), template: template.into(), scope: None }
}

fn said(session: u128, template: &str, scope: Scope) -> Failing {
    Failing { scope: Some(scope), ..of(session, template) }
}

/// After these failures, each of a command of its own.
fn after(mut breaker: Breaker, failures: impl IntoIterator<Item = Failing>) -> Breaker {
    for (n, whose) in failures.into_iter().enumerate() {
        let kind = Kind::of(whose.scope, "boom");
        breaker.failed(Some(id(10_000 + n as u128)), Some(whose), kind, "boom", 0);
    }
    breaker
}

/// Templates have run there.
fn used(templates: &[&str]) -> Breaker {
    let mut breaker = Breaker::default();
    templates.iter().for_each(|template| breaker.succeeded(id(1), Some(template), 0));
    breaker
}

/// Five sessions of two templates have failed.
fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    for n in 0..THRESHOLD.unsigned_abs() as u128 {
        let template = if n % 2 == 0 { "a@1" } else { "b@1" };
        breaker.failed(Some(id(100 + n)), Some(of(1_000 + n, template)), Kind::Driver, "disk full", 0);
    }
    breaker
}

fn half_open() -> Breaker {
    let mut breaker = opened();
    breaker.tick(OPEN_MS);
    breaker
}

fn probing() -> Breaker {
    let mut breaker = half_open();
    breaker.sent(id(PROBE), None, OPEN_MS);
    breaker
}

fn held(order: Order) -> Breaker {
    let mut breaker = Breaker::default();
    breaker.ordered(order, "ann", "maintenance", 0);
    breaker
}

#[test]
fn it_opens_at_the_threshold_and_not_before_and_says_who_why_and_until_when() {
    let mut breaker = Breaker::default();
    for n in 1..THRESHOLD.unsigned_abs() as u128 {
        breaker.failed(Some(id(n)), Some(of(n, "a@1")), Kind::Timeout, "slow", 5);
        assert!(breaker.admits(), "after {n} failures");
    }
    breaker.failed(Some(id(9)), Some(of(9, "b@1")), Kind::Driver, "disk full", 6);
    assert!(!breaker.admits());
    assert_eq!((breaker.since_ms, breaker.until_ms), (Some(6), Some(6 + OPEN_MS)));
    assert_eq!((breaker.by.as_deref(), breaker.reason.as_deref()), (Some(FAILURES), Some("disk full")));
    assert_eq!(breaker.kinds, Kinds { driver: 1, timeout: 4, ..Kinds::default() });
}

#[test]
fn a_success_in_between_begins_the_count_anew() {
    let mut breaker = Breaker::default();
    for _ in 0..10 {
        breaker = after(breaker, (1..5).map(|n| of(n, if n == 1 { "a@1" } else { "b@1" })));
        breaker.succeeded(id(1), None, 0);
        assert!(breaker.at_ease() && breaker.failing.is_empty());
    }
}

/// What failed, and whether that is the platform's.
#[test]
fn it_opens_by_who_failed_and_not_by_how_often() {
    let sessions = |count: u128, template: &'static str| (1..=count).map(move |n| of(n, template));
    let table: Vec<(&str, Breaker, bool)> = vec![
        ("one session, again and again", after(used(&["a@1"]), (0..50).map(|_| of(1, "a@1"))), false),
        ("four sessions, again and again", after(used(&["a@1"]), (0..50).map(|n| of(n % 4, "a@1"))), false),
        ("many sessions of one template that never ran", after(used(&["b@1"]), sessions(31, "a@1")), false),
        ("five sessions of one template that has run", after(used(&["a@1"]), sessions(5, "a@1")), true),
        ("the same of a newer version of it", after(used(&["a@1"]), sessions(31, "a@2")), false),
        (
            "two versions of one template",
            after(used(&[]), (1..20).map(|n| of(n, if n % 2 == 0 { "a@1" } else { "a@2" }))),
            false,
        ),
        ("five sessions of two templates", after(used(&[]), sessions(4, "a@1").chain([of(5, "b@1")])), true),
        ("four sessions of two templates", after(used(&[]), sessions(3, "a@1").chain([of(5, "b@1")])), false),
        (
            "a template's own, where it has run",
            after(used(&["a@1"]), (1..30).map(|n| said(n, "a@1", Scope::Template))),
            false,
        ),
        (
            "one session that blames the platform twice",
            after(used(&[]), (0..2).map(|_| said(1, "a@1", Scope::Platform))),
            true,
        ),
        ("the platform once", after(used(&[]), [said(1, "a@1", Scope::Platform), of(2, "a@1"), of(3, "a@1")]), false),
    ];
    for (what, breaker, opens) in table {
        assert_eq!(breaker.state == State::Open, opens, "{what}: {breaker:?}");
    }
}

#[test]
fn silences_open_it_whoever_is_there() {
    let mut breaker = Breaker::default();
    (0..THRESHOLD).for_each(|_| breaker.failed(None, None, Kind::Unreachable, "no heartbeat", 0));
    assert_eq!(breaker.state, State::Open);
    let mut breaker = Breaker::default();
    (0..THRESHOLD).for_each(|_| breaker.failed(Some(id(1)), Some(of(1, "a@1")), Kind::Unreachable, "no answer", 0));
    assert_eq!(breaker.state, State::Open, "one session whose commands are taken and never answered");
}

#[test]
fn what_it_remembers_is_bounded() {
    let mut breaker = held(Order::HoldClosed);
    for n in 0..10_000 {
        breaker.failed(Some(id(n)), Some(of(n, "a@1")), Kind::Driver, "x", 0);
        assert!(breaker.failing.len() <= FAILING);
    }
    assert_eq!(breaker.failing.last().map(|past| past.id), Some(id(9_999)), "the newest stay");
    (0..1_000).for_each(|n| breaker.succeeded(id(n), Some(&format!("t{n}@1")), 0));
    assert_eq!((breaker.ran.len(), breaker.ran[0].as_str()), (RAN, "t0@1"));
    breaker.succeeded(id(1), Some("t0@2"), 0);
    assert_eq!((breaker.ran.len(), breaker.ran[0].as_str()), (RAN, "t0@2"), "a new version takes the old one's place");
}

#[test]
fn the_probe_is_of_a_session_that_has_not_failed_here_as_long_as_there_may_be_one() {
    let mut breaker = half_open();
    let failed = opened().failing[0].id;
    assert!(!breaker.admits_start_of(failed) && breaker.admits_start_of(id(77)));
    breaker.tick(OPEN_MS + GRACE_MS);
    assert!(breaker.admits_start_of(failed), "nobody else came");
    breaker.sent(id(PROBE), None, OPEN_MS + GRACE_MS);
    breaker.abandoned(id(PROBE), OPEN_MS + GRACE_MS);
    assert!(!breaker.admits_start_of(failed) && breaker.admits_start_of(id(77)));
}

#[test]
fn a_probe_that_fails_by_what_is_its_own_leaves_its_place_to_another() {
    for (scope, state) in [
        (None, State::Open),
        (Some(Scope::Platform), State::Open),
        (Some(Scope::Session), State::HalfOpen),
        (Some(Scope::Template), State::HalfOpen),
    ] {
        let mut breaker = probing();
        let whose = Failing { scope, ..of(77, "c@1") };
        breaker.failed(Some(id(PROBE)), Some(whose), Kind::Driver, "x", OPEN_MS);
        assert_eq!((breaker.state, breaker.probe), (state, None), "{scope:?}");
        assert!(!breaker.admits_start_of(id(77)), "it has failed here");
    }
}

#[test]
fn a_probe_has_the_time_that_its_command_has() {
    let mut breaker = half_open();
    breaker.sent(id(PROBE), Some(9_000_000), OPEN_MS);
    breaker.tick(9_000_000);
    assert_eq!(breaker.state, State::HalfOpen, "its own error comes first");
    breaker.tick(9_000_000 + 60_000);
    assert_eq!(breaker.state, State::Open);
}

#[test]
fn closing_forgets_who_failed_and_not_what_has_run() {
    let mut breaker = after(used(&["a@1"]), (1..=5).map(|n| of(n, "a@1")));
    breaker.ordered(Order::Close, "ann", "mended", 0);
    assert_eq!((breaker.failing.len(), breaker.ran.len(), breaker.state), (0, 1, State::Closed));
}

/// Each event in each state: the state that it leads to.
/// How it is called, how it comes to be, and where each event takes it.
type Row = (&'static str, fn() -> Breaker, [State; 8]);

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    use State::{Closed, HalfOpen, Open};
    type Happens = fn(&mut Breaker);
    let events: [(&str, Happens); 8] = [
        ("the probe ends well", |b| b.succeeded(id(PROBE), None, OPEN_MS)),
        ("another ends well", |b| b.succeeded(id(9), None, OPEN_MS)),
        ("the probe fails", |b| b.failed(Some(id(PROBE)), None, Kind::Driver, "x", OPEN_MS)),
        ("another fails", |b| b.failed(Some(id(9)), None, Kind::Driver, "x", OPEN_MS)),
        ("it falls silent", |b| b.failed(None, None, Kind::Unreachable, "x", OPEN_MS)),
        ("a command goes out", |b| b.sent(id(9), None, OPEN_MS)),
        ("its time is not up", |b| b.tick(OPEN_MS - 1)),
        ("its time is up", |b| b.tick(OPEN_MS + PROBE_MS)),
    ];
    let table: [Row; 6] = [
        ("closed", Breaker::default, [Closed; 8]),
        ("open", opened, [Open, Open, Open, Open, Open, Open, Open, HalfOpen]),
        ("half open", half_open, [HalfOpen, HalfOpen, HalfOpen, HalfOpen, Open, HalfOpen, HalfOpen, HalfOpen]),
        ("probing", probing, [Closed, HalfOpen, Open, HalfOpen, Open, HalfOpen, HalfOpen, Open]),
        ("held open", || held(Order::HoldOpen), [Open; 8]),
        ("held closed", || held(Order::HoldClosed), [Closed; 8]),
    ];
    for (name, make, expected) in table {
        for ((event, happens), state) in events.iter().zip(expected) {
            let mut breaker = make();
            happens(&mut breaker);
            assert_eq!(breaker.state, state, "{name}, and {event}");
        }
    }
}

#[test]
fn one_probe_goes_out_and_only_another_one_after_it_was_given_up() {
    let mut breaker = half_open();
    assert!(breaker.admits());
    breaker.sent(id(1), None, 0);
    breaker.sent(id(2), None, 0);
    assert_eq!((breaker.probe, breaker.admits()), (Some(id(1)), false));
    breaker.abandoned(id(2), 0);
    assert!(!breaker.admits(), "it was not the probe");
    breaker.abandoned(id(1), 0);
    assert!(breaker.admits());
}

#[test]
fn each_failed_probe_doubles_the_wait_up_to_a_limit_and_a_good_one_ends_it() {
    let mut breaker = opened();
    let mut waits = Vec::new();
    for n in 0..8 {
        let now = breaker.until_ms.expect("a time");
        breaker.tick(now);
        breaker.sent(id(n), None, now);
        breaker.failed(Some(id(n)), None, Kind::Driver, "still", now);
        waits.push(breaker.until_ms.expect("a time") - now);
    }
    assert_eq!(waits[..4], [60_000, 120_000, 240_000, 480_000]);
    assert!(waits[4..].iter().all(|wait| *wait == MAX_OPEN_MS), "{waits:?}");
    let now = breaker.until_ms.expect("a time");
    breaker.tick(now);
    breaker.sent(id(99), None, now);
    breaker.succeeded(id(99), None, now);
    assert_eq!(breaker, Breaker { since_ms: Some(now), ..Breaker::default() });
}

#[test]
fn what_is_held_stays_until_it_is_released() {
    let mut open = held(Order::HoldOpen);
    open.tick(i64::MAX);
    assert_eq!((open.state, open.by.as_deref()), (State::Open, Some("operator:ann")));
    open.ordered(Order::Release, "bob", "done", 50);
    open.tick(50);
    assert_eq!(open.state, State::HalfOpen, "probed at once");
    let mut closed = held(Order::HoldClosed);
    for n in 0..100 {
        closed.failed(None, Some(of(n, if n % 2 == 0 { "a@1" } else { "b@1" })), Kind::Driver, "x", 0);
    }
    assert_eq!((closed.admits(), closed.kinds.driver), (true, 100));
    closed.ordered(Order::Release, "bob", "done", 50);
    assert_eq!((closed.held, closed.by.as_deref()), (false, None));
    closed.failed(None, Some(of(1, "a@1")), Kind::Driver, "x", 60);
    assert_eq!(closed.state, State::Open, "what failed meanwhile counts");
}

#[test]
fn an_order_that_holds_already_changes_nothing_and_who_was_first_stays() {
    for order in [Order::Open, Order::Close, Order::HoldOpen, Order::HoldClosed, Order::Release] {
        for start in [Breaker::default(), opened(), half_open(), held(Order::HoldOpen), held(Order::HoldClosed)] {
            let mut once = start.clone();
            once.ordered(order, "ann", "one", 1_000);
            let mut twice = once.clone();
            twice.ordered(order, "bob", "two", 2_000);
            let again = if order == Order::Release { Breaker { until_ms: once.until_ms, ..twice } } else { twice };
            assert_eq!(again, once, "{order:?} on {start:?}");
        }
    }
}

#[test]
fn what_does_not_admit_says_why() {
    assert_eq!(Breaker::default().why_not(), None);
    for (breaker, word) in [
        (opened(), "open after 5 failures: disk full"),
        (probing(), "one probe is under way"),
        (held(Order::HoldOpen), "held open by operator:ann: maintenance"),
    ] {
        let why = breaker.why_not().expect("a reason");
        assert!(why.contains(word), "{why}");
    }
}

#[test]
fn silence_counts_once_however_many_engines_notice_it() {
    let fresh = Controller { status: ControllerHealth::Healthy, reason: None, breaker: Breaker::default() };
    let silent = decide(&fresh, &Event::Silent, 0);
    assert_eq!((silent.status, silent.breaker.kinds.unreachable), (ControllerHealth::Unhealthy, 1));
    assert_eq!(decide(&silent, &Event::Silent, 0), silent);
    let back = decide(&silent, &Event::Heartbeat(ControllerHealth::Healthy), 0);
    assert!(back.ready() && back.breaker.kinds.unreachable == 1, "it is well, and what happened is remembered");
}

#[derive(Debug, Clone)]
enum Step {
    Send(Uuid),
    /// A command, its session, its template, and the scope.
    Fail(Uuid, u128, u8, Option<Scope>),
    Succeed(Uuid),
    Abandon(Uuid),
    Silence,
    Wait(i64),
    Order(Order),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let command = || (0_u128..4).prop_map(id);
    let orders = [Order::Open, Order::Close, Order::HoldOpen, Order::HoldClosed, Order::Release];
    let step = prop_oneof![
        3 => command().prop_map(Step::Send),
        6 => (command(), 0_u128..8, 0_u8..3, prop::option::of(prop::sample::select(Scope::ALL.to_vec())))
            .prop_map(|(command, session, template, scope)| Step::Fail(command, session, template, scope)),
        1 => command().prop_map(Step::Succeed),
        1 => command().prop_map(Step::Abandon),
        1 => Just(Step::Silence),
        3 => (0_i64..700_000).prop_map(Step::Wait),
        1 => prop::sample::select(orders.to_vec()).prop_map(Step::Order),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// Whatever happens: it admits again some day, unless it is held; it never has two probes; it always says why.
    #[test]
    fn it_never_stays_open_by_itself(steps in steps()) {
        let (mut now, mut breaker) = (0, Breaker::default());
        for step in steps {
            let before = breaker.clone();
            match step {
                Step::Send(command) if breaker.admits() => breaker.sent(command, None, now),
                Step::Send(_) => {}
                Step::Fail(command, session, template, scope) => {
                    let whose = Failing { scope, ..of(session, &format!("t{template}@1")) };
                    breaker.failed(Some(command), Some(whose), Kind::of(scope, "x"), "x", now);
                }
                Step::Succeed(command) => breaker.succeeded(command, Some("t0@1"), now),
                Step::Abandon(command) => breaker.abandoned(command, now),
                Step::Silence => breaker.failed(None, None, Kind::Unreachable, "x", now),
                Step::Wait(ms) => { now += ms; breaker.tick(now); }
                Step::Order(order) => breaker.ordered(order, "ann", "x", now),
            }
            if let (Some(one), Some(other)) = (before.probe, breaker.probe) {
                prop_assert_eq!(one, other, "two probes");
            }
            if before.state == State::Closed && breaker.state == State::Open && breaker.by.as_deref() == Some(FAILURES) {
                prop_assert!(breaker.is_the_platforms(), "it opened by what is no platform's: {:?}", breaker);
            }
            let sessions: std::collections::BTreeSet<_> = breaker.failing.iter().map(|past| past.id).collect();
            prop_assert_eq!(sessions.len(), breaker.failing.len(), "each counts once");
            prop_assert_eq!(breaker.why_not().is_none(), breaker.admits());
            prop_assert!(breaker.admits() || breaker.held || breaker.until_ms.is_some(), "stuck: {:?}", breaker);
        }
        if !breaker.held {
            now += MAX_OPEN_MS + PROBE_MS;
            breaker.tick(now);
            breaker.tick(now + MAX_OPEN_MS);
            prop_assert!(breaker.admits());
            breaker.tick(now + MAX_OPEN_MS + GRACE_MS);
            prop_assert!((0..8).all(|session| breaker.admits_start_of(id(session))), "nobody is shut out for ever");
        }
    }
}
