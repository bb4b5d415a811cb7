//! Random histories: whatever happens in whatever order, duplicated, late or lost, what is promised holds at every step.

use machine::Lane;
use machine::facts::Facts as _;
use machine::room::Room;
use machine::session::{Desired, Effect, Event, Session, decide};
use proptest::prelude::*;
use streams::wire::SessionState as S;
use uuid::Uuid;

use crate::world::{at, chosen, created, failed, said, seen};

#[derive(Debug, Clone)]
enum Step {
    Ask(u8),
    /// The owner does the open command and reports, now or late.
    Work {
        status: usize,
        late: bool,
    },
    Fail {
        retryable: bool,
    },
    /// A report that was sent before comes again.
    Again(usize),
    Time(i64),
    Silence {
        held: bool,
    },
    Lost,
    Owner(bool),
    /// Others take all the room of the owner, or leave.
    Full(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..6).prop_map(Step::Ask),
        6 => (0usize..9, any::<bool>()).prop_map(|(status, late)| Step::Work { status, late }),
        2 => any::<bool>().prop_map(|retryable| Step::Fail { retryable }),
        3 => (0usize..20).prop_map(Step::Again),
        3 => (1i64..400_000).prop_map(Step::Time),
        1 => any::<bool>().prop_map(|held| Step::Silence { held }),
        1 => Just(Step::Lost),
        1 => any::<bool>().prop_map(Step::Owner),
        1 => any::<bool>().prop_map(Step::Full),
    ];
    prop::collection::vec(step, 1..80)
}

struct Run {
    session: Session,
    now: i64,
    fresh: u128,
    seq: i64,
    ready: bool,
    full: bool,
    sent: Vec<Event>,
    open: Vec<Uuid>,
}

impl Run {
    fn event(&mut self, step: &Step) -> Option<Event> {
        self.seq += 1;
        let report = |mut observation: machine::session::Observation, seq| {
            observation.source.seq = seq;
            said(observation)
        };
        Some(match step {
            Step::Ask(0) => Event::Hibernate,
            Step::Ask(1) => Event::Wake(chosen(Lane::Durable)),
            Step::Ask(2) => Event::Activity,
            Step::Ask(3) => Event::Delete { force: false },
            Step::Ask(5) => Event::Extend { by_s: 3600 },
            Step::Ask(_) => Event::Delete { force: true },
            Step::Work { status, late } => {
                let event = report(seen(&self.session, S::ALL[*status], self.seq), self.seq);
                self.sent.push(event.clone());
                return (!late).then_some(event);
            }
            Step::Fail { retryable } => report(failed(&self.session, self.seq, *retryable), self.seq),
            Step::Again(n) => return self.sent.get(n % self.sent.len().max(1)).cloned(),
            Step::Time(by) => {
                self.now += by;
                Event::Tick
            }
            Step::Silence { held } => Event::Deadline { held: *held },
            Step::Lost => Event::Lost,
            Step::Full(full) => {
                self.full = *full;
                Event::OwnerReady
            }
            Step::Owner(ready) => {
                self.ready = *ready;
                Event::OwnerReady
            }
        })
    }

    fn take(&mut self, step: &Step) {
        let Some(event) = self.event(step) else { return };
        self.fresh += 1;
        let mut context = at(self.now, self.fresh);
        context.owner_ready = self.ready;
        context.room = Some(Room { held: u32::from(self.full), max: Some(1) });
        let Ok(decision) = decide(&self.session, &event, &context) else { return };
        for effect in &decision.effects {
            match effect {
                Effect::Send { event_id, .. } => self.open.push(*event_id),
                Effect::Complete { event_id, .. } | Effect::Fail { event_id, .. } => {
                    assert!(self.open.contains(event_id), "{event:?} ended {event_id}, which was not open");
                    self.open.retain(|open| open != event_id);
                }
                _ => {}
            }
        }
        assert!(decision.session.command.generation >= self.session.command.generation, "a generation went back");
        let fence = |s: &Session| (s.command.seen_generation, s.command.seen_epoch, s.command.seen_seq);
        assert!(fence(&decision.session) >= fence(&self.session), "the fence went back");
        logged(&self.session, &decision.session);
        self.session = decision.session;
        if event == Event::Tick {
            let timers = [self.session.command.next_attempt_ms, self.session.expires_ms, self.session.idle_ms];
            assert!(
                timers.into_iter().flatten().all(|at| at > self.now),
                "a timer that fired is still due: {timers:?}"
            );
        }
        self.check(&event);
    }

    /// Every open command is the session's own, and shows what it waits for; what ended stays ended.
    fn check(&self, event: &Event) {
        let s = &self.session;
        assert_eq!(self.open, s.command.id.into_iter().collect::<Vec<_>>(), "after {event:?}: I2");
        if s.command.id.is_some() {
            let visible =
                s.command.deadline_ms.is_some() || s.command.next_attempt_ms.is_some() || s.command.reason.is_some();
            assert!(visible, "after {event:?}: an open command waits for nothing that is shown: {s:?}");
        }
        if s.desired == Desired::Running && (s.command.deadline_ms.is_some() || s.command.next_attempt_ms.is_some()) {
            assert!(s.has_room, "after {event:?}: it is started without room");
        }
        if matches!(s.status, S::Hibernated | S::Deleted | S::Failed) {
            assert!(!s.has_room, "after {event:?}: it holds room and does not run");
        }
        if s.status == S::Deleted {
            assert_eq!(s.desired, Desired::Deleted);
            assert!(s.url.is_none());
        }
        if s.desired == Desired::Deleted {
            assert!(matches!(s.status, S::Deleting | S::Deleted | S::Failed), "after {event:?}: {:?}", s.status);
        }
    }
}

/// All facts but the soft ones are logged, and what changed between two states is what differs of them.
fn logged(before: &Session, after: &Session) {
    let hard = |session: &Session| {
        let Ok(serde_json::Value::Object(mut all)) = serde_json::to_value(session) else {
            panic!("facts are an object")
        };
        all.retain(|name, _| !Session::SOFT.contains(&name.as_str()));
        all
    };
    let (was, mut is) = (hard(before), hard(after));
    assert_eq!(after.hard(), is);
    is.retain(|name, value| was.get(name) != Some(value));
    assert_eq!(after.difference(before), is);
}

fn start() -> Run {
    let session = created();
    let open = session.command.id.into_iter().collect();
    Run { session, now: 0, fresh: 10_000, seq: 0, ready: true, full: false, sent: Vec::new(), open }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_command_ends_or_visibly_waits_and_nothing_goes_back(steps in steps()) {
        let mut run = start();
        steps.iter().for_each(|step| run.take(step));
    }

    #[test]
    fn a_deleted_session_is_never_alive_again(steps in steps()) {
        let mut run = start();
        let mut deleted = false;
        for step in &steps {
            run.take(step);
            deleted |= run.session.desired == Desired::Deleted;
            prop_assert!(!deleted || run.session.desired == Desired::Deleted);
        }
    }

    #[test]
    fn a_well_behaved_owner_always_reaches_what_is_desired(steps in steps()) {
        let mut run = start();
        steps.iter().for_each(|step| run.take(step));
        run.take(&Step::Owner(true));
        run.take(&Step::Full(false));
        for _ in 0..40 {
            run.take(&Step::Time(400_000));
            let goal = run.session.desired.goal();
            let status = S::ALL.iter().position(|state| *state == goal).unwrap_or(0);
            if run.session.command.deadline_ms.is_some() {
                run.take(&Step::Work { status, late: false });
            }
            if run.session.command.id.is_none() {
                break;
            }
        }
        prop_assert!(run.session.command.id.is_none(), "still open: {:?}", run.session);
    }
}
