//! Why a session is awake, and that what is shown is what the timers do.

use machine::Lane;
use machine::session::{Awake, Effect, Error, Event, Limit, Session, Warning, awake, decide, next_stop};
use proptest::prelude::*;
use streams::wire::SessionState as S;

use crate::world::{after, at, chosen, in_state, reported, running, said, seen};

fn shown(session: &Session) -> Awake {
    awake(session).expect("it runs")
}

fn kinds(session: &Session) -> Vec<&'static str> {
    shown(session).reasons.iter().map(|reason| reason.kind).collect()
}

fn used(session: &Session, now: i64, seq: i64, connections: Option<i32>, in_use: bool) -> Session {
    let mut report = seen(session, S::Running, seq);
    (report.connections, report.in_use, report.causation_id) = (connections, in_use, None);
    after(session, said(report), &at(now, 700)).session
}

fn tick(session: &Session, now: i64) -> (Session, Vec<Effect>) {
    let decision = after(session, Event::Tick, &at(now, 800));
    (decision.session, decision.effects)
}

#[test]
fn only_what_runs_is_awake() {
    for state in S::ALL {
        assert_eq!(awake(&in_state(state)).is_some(), state == S::Running, "{state:?}");
    }
}

#[test]
fn each_sign_of_use_is_the_reason_until_a_newer_one() {
    let fresh = running();
    assert_eq!((kinds(&fresh), shown(&fresh).sleeps_at_ms), (vec!["started"], Some(62_000)));
    let touched = after(&fresh, Event::Activity, &at(10_000, 700)).session;
    assert_eq!((kinds(&touched), shown(&touched).sleeps_at_ms), (vec!["activity"], Some(70_000)));
    let busy = used(&touched, 20_000, 10, None, true);
    assert_eq!((kinds(&busy), shown(&busy).sleeps_at_ms), (vec!["usage"], Some(80_000)));
    let open = used(&busy, 30_000, 11, Some(2), false);
    let open = used(&open, 40_000, 12, Some(1), false);
    assert_eq!((kinds(&open), shown(&open).sleeps_at_ms), (vec!["connections"], None));
    assert_eq!(shown(&open).reasons[0].since_ms, 30_000);
    let closed = used(&open, 900_000, 13, Some(0), false);
    assert_eq!(shown(&closed).sleeps_at_ms, Some(960_000), "a connection is use until it is closed");
    let idle = used(&closed, 910_000, 14, Some(0), false);
    assert_eq!(shown(&idle), shown(&closed), "a report without use is no use");
}

#[test]
fn without_an_idle_timeout_it_runs_as_long_as_it_may() {
    let mut endless = running();
    endless.idle_timeout_s = None;
    assert_eq!((kinds(&endless), shown(&endless).sleeps_at_ms), (vec!["maximum_duration"], None));
    (endless.max_duration_s, endless.expires_ms) = (None, None);
    assert_eq!((kinds(&endless), shown(&endless).extendable_until_ms), (vec!["no_idle_timeout"], None));
    assert_eq!(next_stop(&endless), None);
}

#[test]
fn it_is_warned_once_and_again_after_use() {
    let session = running();
    let (warned, effects) = tick(&session, session.idle_ms.expect("armed"));
    let warning = Warning { limit: Limit::Idleness, stops_at_ms: 62_000 };
    assert_eq!((warned.status, effects), (S::Running, vec![Effect::Warn(warning)]));
    assert_eq!(session.idle_ms, Some(56_000), "a tenth of the timeout before");
    assert_eq!(tick(&warned, 57_000), (warned.clone(), vec![]), "once");
    assert_eq!(warned.idle_ms, Some(62_000), "the stop itself is next");
    let touched = after(&warned, Event::Activity, &at(60_000, 700)).session;
    assert_eq!(tick(&touched, 62_000).0.status, S::Running);
    assert!(matches!(tick(&touched, 114_000).1[..], [Effect::Warn(_)]));
    assert_eq!(tick(&touched, 120_000).0.status, S::Hibernating);
}

#[test]
fn the_maximum_duration_warns_and_ends_a_run_that_is_in_use() {
    let session = used(&running(), 3_000, 10, Some(5), false);
    let expires = session.expires_ms.expect("armed");
    assert_eq!(session.idle_ms, Some(expires - 300_000), "five minutes are enough");
    let (warned, effects) = tick(&session, expires - 300_000);
    assert_eq!(effects, vec![Effect::Warn(Warning { limit: Limit::Duration, stops_at_ms: expires })]);
    assert_eq!(tick(&warned, expires - 1).1, vec![]);
    let asleep = tick(&warned, expires).0;
    assert_eq!((asleep.status, asleep.command.reason.as_deref()), (S::Hibernating, Some("maximum duration reached")));
}

#[test]
fn what_sleeps_already_is_not_warned() {
    for state in [S::Hibernating, S::Hibernated, S::Deleting, S::Deleted, S::Failed, S::Pending] {
        let session = in_state(state);
        let effects = tick(&session, 10_000_000).1;
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Warn(_))), "{state:?}");
    }
}

#[test]
fn an_extension_pushes_both_stops_and_counts_for_one_run() {
    let session = running();
    let extended = after(&session, Event::Extend { by_s: 1800 }, &at(5_000, 700)).session;
    assert_eq!(kinds(&extended), ["extension"]);
    assert_eq!(shown(&extended).sleeps_at_ms, Some(62_000 + 1_800_000));
    assert_eq!(shown(&extended).expires_at_ms, session.expires_ms.map(|at| at + 1_800_000));
    assert_eq!(tick(&extended, 62_000).0.status, S::Running);
    let asleep = tick(&extended, 62_000 + 1_800_000).0;
    assert_eq!((asleep.status, asleep.extended_s, asleep.awake_until_ms), (S::Hibernating, 0, None));
}

#[test]
fn extensions_end_where_the_rule_says() {
    let waking = after(&in_state(S::Hibernated), Event::Wake(chosen(Lane::Durable)), &at(20_000, 301)).session;
    let extended = after(&waking, Event::Extend { by_s: 28_000 }, &at(21_000, 700)).session;
    let up = reported(&extended, S::Running, 40);
    assert_eq!(shown(&up).sleeps_at_ms, Some(40_000 + 60_000 + 28_000_000));
    assert_eq!(shown(&up).extendable_until_ms, Some(40_000 + 60_000 + 28_800_000), "8 hours in all");
    let refused = decide(&up, &Event::Extend { by_s: 801 }, &at(50_000, 700));
    assert_eq!(refused, Err(Error::TooFar { by_s: 801, left_s: 800, total_s: 28_800 }));
    let last = after(&up, Event::Extend { by_s: 800 }, &at(50_000, 700)).session;
    assert_eq!(shown(&last).extendable_until_ms, None);
}

#[derive(Debug, Clone)]
enum Use {
    Wait(i64),
    Activity,
    Cpu(bool),
    Connections(i32),
    Extend(i64),
}

fn uses() -> impl Strategy<Value = Vec<Use>> {
    let one = prop_oneof![
        5 => (1i64..50_000).prop_map(Use::Wait),
        1 => Just(Use::Activity),
        1 => any::<bool>().prop_map(Use::Cpu),
        2 => (0i32..3).prop_map(Use::Connections),
        1 => (1i64..200).prop_map(Use::Extend),
    ];
    prop::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Timers fire when they are due, and never early or late: the session stops at the very moment that was shown last.
    #[test]
    fn it_hibernates_exactly_when_the_shown_time_passes_without_a_new_sign(uses in uses()) {
        let (mut session, mut now, mut seq) = (running(), 2_000, 10);
        let mut warned = std::collections::BTreeSet::new();
        for one in uses {
            seq += 1;
            match one {
                Use::Wait(by) => {
                    let until = now + by;
                    while let Some(due) = session.idle_ms.filter(|due| *due <= until) {
                        now = now.max(due);
                        let before = shown(&session);
                        let stops = [before.sleeps_at_ms, before.expires_at_ms].into_iter().flatten().min();
                        let (next, effects) = tick(&session, now);
                        prop_assert_eq!(next.status == S::Hibernating, stops.is_some_and(|at| at <= now));
                        for effect in effects {
                            if let Effect::Warn(warning) = effect {
                                prop_assert!(warned.insert((warning.name(), warning.stops_at_ms)), "warned twice");
                                prop_assert_eq!(Some(warning.stops_at_ms), stops);
                            }
                        }
                        session = next;
                        if session.status == S::Hibernating {
                            prop_assert_eq!(stops, Some(now), "not a millisecond late");
                            return Ok(());
                        }
                    }
                    now = until;
                }
                Use::Activity => session = after(&session, Event::Activity, &at(now, 700)).session,
                Use::Cpu(busy) => session = used(&session, now, seq, None, busy),
                Use::Connections(count) => session = used(&session, now, seq, Some(count), false),
                Use::Extend(by_s) => {
                    if let Ok(decision) = decide(&session, &Event::Extend { by_s }, &at(now, 700)) {
                        session = decision.session;
                    }
                }
            }
            prop_assert_eq!(session.status, S::Running);
            let shown = shown(&session);
            prop_assert!(!shown.reasons.is_empty());
            for stop in [shown.sleeps_at_ms, shown.expires_at_ms].into_iter().flatten() {
                prop_assert!(stop > now, "a stop that passed is still shown");
            }
        }
    }
}
