//! The circuit breaker: what each event does to it in each of its states, and what an operator's word is worth.

use machine::breaker::{Breaker, FAILURES, Kind, Kinds, MAX_OPEN_MS, OPEN_MS, Order, PROBE_MS, State, THRESHOLD};
use machine::controller::{Controller, Event, decide};
use proptest::prelude::*;
use streams::wire::ControllerHealth;
use uuid::Uuid;

use crate::world::id;

const PROBE: u128 = 7;

fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    (0..THRESHOLD).for_each(|n| breaker.failed(Some(id(100 + n.unsigned_abs() as u128)), Kind::Driver, "disk full", 0));
    breaker
}

fn half_open() -> Breaker {
    let mut breaker = opened();
    breaker.tick(OPEN_MS);
    breaker
}

fn probing() -> Breaker {
    let mut breaker = half_open();
    breaker.sent(id(PROBE), OPEN_MS);
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
    for n in 1..THRESHOLD {
        breaker.failed(None, Kind::Timeout, "slow", 5);
        assert!(breaker.admits(), "after {n} failures");
    }
    breaker.failed(None, Kind::Driver, "disk full", 6);
    assert!(!breaker.admits());
    assert_eq!((breaker.since_ms, breaker.until_ms), (Some(6), Some(6 + OPEN_MS)));
    assert_eq!((breaker.by.as_deref(), breaker.reason.as_deref()), (Some(FAILURES), Some("disk full")));
    assert_eq!(breaker.kinds, Kinds { driver: 1, timeout: 4, unreachable: 0 });
}

#[test]
fn a_success_in_between_begins_the_count_anew() {
    let mut breaker = Breaker::default();
    for _ in 0..10 {
        (1..THRESHOLD).for_each(|_| breaker.failed(None, Kind::Driver, "x", 0));
        breaker.succeeded(id(1), 0);
        assert!(breaker.at_ease());
    }
}

/// Each event in each state: the state that it leads to.
/// How it is called, how it comes to be, and where each event takes it.
type Row = (&'static str, fn() -> Breaker, [State; 8]);

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    use State::{Closed, HalfOpen, Open};
    type Happens = fn(&mut Breaker);
    let events: [(&str, Happens); 8] = [
        ("the probe ends well", |b| b.succeeded(id(PROBE), OPEN_MS)),
        ("another ends well", |b| b.succeeded(id(9), OPEN_MS)),
        ("the probe fails", |b| b.failed(Some(id(PROBE)), Kind::Driver, "x", OPEN_MS)),
        ("another fails", |b| b.failed(Some(id(9)), Kind::Driver, "x", OPEN_MS)),
        ("it falls silent", |b| b.failed(None, Kind::Unreachable, "x", OPEN_MS)),
        ("a command goes out", |b| b.sent(id(9), OPEN_MS)),
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
    breaker.sent(id(1), 0);
    breaker.sent(id(2), 0);
    assert_eq!((breaker.probe, breaker.admits()), (Some(id(1)), false));
    breaker.abandoned(id(2));
    assert!(!breaker.admits(), "it was not the probe");
    breaker.abandoned(id(1));
    assert!(breaker.admits());
}

#[test]
fn each_failed_probe_doubles_the_wait_up_to_a_limit_and_a_good_one_ends_it() {
    let mut breaker = opened();
    let mut waits = Vec::new();
    for n in 0..8 {
        let now = breaker.until_ms.expect("a time");
        breaker.tick(now);
        breaker.sent(id(n), now);
        breaker.failed(Some(id(n)), Kind::Driver, "still", now);
        waits.push(breaker.until_ms.expect("a time") - now);
    }
    assert_eq!(waits[..4], [60_000, 120_000, 240_000, 480_000]);
    assert!(waits[4..].iter().all(|wait| *wait == MAX_OPEN_MS), "{waits:?}");
    let now = breaker.until_ms.expect("a time");
    breaker.tick(now);
    breaker.sent(id(99), now);
    breaker.succeeded(id(99), now);
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
    (0..100).for_each(|_| closed.failed(None, Kind::Driver, "x", 0));
    assert_eq!((closed.admits(), closed.kinds.driver), (true, 100));
    closed.ordered(Order::Release, "bob", "done", 50);
    assert_eq!((closed.held, closed.by.as_deref()), (false, None));
    closed.failed(None, Kind::Driver, "x", 60);
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
    Fail(Uuid),
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
        3 => command().prop_map(Step::Fail),
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
                Step::Send(command) if breaker.admits() => breaker.sent(command, now),
                Step::Send(_) => {}
                Step::Fail(command) => breaker.failed(Some(command), Kind::Driver, "x", now),
                Step::Succeed(command) => breaker.succeeded(command, now),
                Step::Abandon(command) => breaker.abandoned(command),
                Step::Silence => breaker.failed(None, Kind::Unreachable, "x", now),
                Step::Wait(ms) => { now += ms; breaker.tick(now); }
                Step::Order(order) => breaker.ordered(order, "ann", "x", now),
            }
            if let (Some(one), Some(other)) = (before.probe, breaker.probe) {
                prop_assert_eq!(one, other, "two probes");
            }
            prop_assert_eq!(breaker.why_not().is_none(), breaker.admits());
            prop_assert!(breaker.admits() || breaker.held || breaker.until_ms.is_some(), "stuck: {:?}", breaker);
        }
        if !breaker.held {
            now += MAX_OPEN_MS + PROBE_MS;
            breaker.tick(now);
            breaker.tick(now + MAX_OPEN_MS);
            prop_assert!(breaker.admits());
        }
    }
}
