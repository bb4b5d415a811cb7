//! An application's machine: every pair of state and event, and random histories.

use machine::Lane;
use machine::application::{Application, Decision, Desired, Effect, Event, Observation, Source, create, decide};
use proptest::prelude::*;
use streams::wire::{AppState as S, Failure};
use uuid::Uuid;

use crate::world::{OWNER, at, chosen, id};

fn created() -> Application {
    create(id(1), &chosen(Lane::Durable), &at(0, 100)).application
}

fn seen(app: &Application, status: S, seq: i64) -> Observation {
    Observation {
        controller_id: OWNER.into(),
        lane: Lane::Durable,
        source: Source { epoch: 1, seq },
        status,
        generation: Some(app.command.generation),
        causation_id: app.command.id,
        attempt: Some(app.command.attempt),
        instance_id: Some(id(7)),
        error: None,
        message: Some(format!("said {}", status.as_str())),
    }
}

fn failed(app: &Application, seq: i64, retryable: bool) -> Observation {
    let error = Failure { code: "boom".into(), message: "boom".into(), retryable, user_error: false, scope: None };
    Observation { error: Some(error), ..seen(app, S::Failed, seq) }
}

fn said(observation: Observation) -> Event {
    Event::Report(Box::new(observation))
}

fn after(app: &Application, event: &Event, fresh: u128) -> Decision {
    decide(app, event, &at(10_000, fresh)).unwrap_or_else(|error| panic!("{event:?} was refused: {error}"))
}

/// An application in each state, reached by a history and not by hand.
fn in_state(state: S) -> Application {
    let ready = || after(&created(), &said(seen(&created(), S::Ready, 2)), 200).application;
    let leaving = || after(&ready(), &Event::Uninstall, 201).application;
    match state {
        S::Pending => created(),
        S::Installing => after(&created(), &said(seen(&created(), S::Installing, 1)), 202).application,
        S::Ready => ready(),
        S::Uninstalling => leaving(),
        S::Uninstalled => after(&leaving(), &said(seen(&leaving(), S::Uninstalled, 3)), 203).application,
        S::Failed => after(&created(), &said(failed(&created(), 1, false)), 204).application,
    }
}

fn event(name: &str, app: &Application) -> Event {
    let report = |status| said(seen(app, status, 50));
    match name {
        "install" => Event::Install { place: chosen(Lane::Durable), changed: false },
        "upgrade" => Event::Install { place: chosen(Lane::Durable), changed: true },
        "uninstall" => Event::Uninstall,
        "again" => Event::Again,
        "says installing" => report(S::Installing),
        "says ready" => report(S::Ready),
        "says uninstalling" => report(S::Uninstalling),
        "says uninstalled" => report(S::Uninstalled),
        "fails for good" => said(failed(app, 50, false)),
        "fails for now" => said(failed(app, 50, true)),
        "tick" => Event::Tick,
        "deadline" => Event::Deadline { held: true },
        "lost" => Event::Lost,
        "owner ready" => Event::OwnerReady,
        _ => Event::Placed(chosen(Lane::Durable)),
    }
}

/// Events, and the state that each leads to from pending, installing, ready, uninstalling, uninstalled, failed; `-` is refused.
const TABLE: [(&str, [&str; 6]); 15] = [
    ("install", ["pending", "installing", "ready", "pending", "-", "pending"]),
    ("upgrade", ["pending", "pending", "pending", "pending", "-", "pending"]),
    ("uninstall", ["uninstalling", "uninstalling", "uninstalling", "uninstalling", "uninstalled", "uninstalling"]),
    ("again", ["-", "-", "-", "-", "-", "pending"]),
    ("says installing", ["installing", "installing", "ready", "uninstalling", "uninstalled", "failed"]),
    ("says ready", ["ready", "ready", "ready", "uninstalling", "uninstalled", "ready"]),
    ("says uninstalling", ["pending", "installing", "ready", "uninstalling", "uninstalled", "failed"]),
    ("says uninstalled", ["pending", "installing", "pending", "uninstalled", "uninstalled", "failed"]),
    ("fails for good", ["failed", "failed", "failed", "failed", "uninstalled", "failed"]),
    ("fails for now", ["pending", "installing", "failed", "uninstalling", "uninstalled", "failed"]),
    ("tick", ["pending", "installing", "ready", "uninstalling", "uninstalled", "failed"]),
    ("deadline", ["pending", "installing", "ready", "uninstalling", "uninstalled", "failed"]),
    ("lost", ["pending", "installing", "ready", "uninstalling", "uninstalled", "failed"]),
    ("owner ready", ["pending", "installing", "ready", "uninstalling", "uninstalled", "failed"]),
    ("placed", ["pending", "installing", "ready", "uninstalling", "uninstalled", "failed"]),
];

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    for (name, states) in TABLE {
        for (state, expected) in S::ALL.into_iter().zip(states) {
            let app = in_state(state);
            assert_eq!(app.status, state, "the history that leads to {state:?}");
            let found = decide(&app, &event(name, &app), &at(50_000, 900));
            let found = found.as_ref().map_or("-", |decision| decision.application.status.as_str());
            assert_eq!(found, expected, "{name} in {state:?}");
        }
    }
}

#[test]
fn what_exists_after_it_was_uninstalled_is_taken_back_again() {
    let gone = in_state(S::Uninstalled);
    let mut ghost = seen(&gone, S::Ready, 60);
    ghost.causation_id = None;
    let decision = after(&gone, &said(ghost), 900);
    assert_eq!(decision.application.status, S::Uninstalled, "people see no change");
    assert_eq!(decision.application.command.verb.as_deref(), Some("app.uninstall"));
}

#[test]
fn an_upgrade_overtakes_what_is_under_way_and_its_old_answer_counts_for_nothing() {
    let app = in_state(S::Installing);
    let decision = after(&app, &event("upgrade", &app), 900);
    let upgraded = decision.application;
    assert_eq!((upgraded.command.generation, upgraded.command.id), (2, Some(id(900))));
    let overtaken = Effect::Complete { event_id: id(100), superseded: true };
    assert!(decision.effects.contains(&overtaken), "{:?}", decision.effects);
    let late = after(&upgraded, &said(seen(&app, S::Ready, 70)), 901);
    assert_eq!((late.application, late.effects), (upgraded, vec![Effect::Superseded]));
}

#[test]
fn a_plain_ready_without_generation_or_cause_completes_the_install() {
    let app = create(id(1), &chosen(Lane::Core), &at(0, 100)).application;
    let mut plain = seen(&app, S::Ready, 5);
    (plain.lane, plain.generation, plain.causation_id, plain.attempt) = (Lane::Core, None, None, None);
    let ready = after(&app, &said(plain), 900).application;
    assert_eq!((ready.status, ready.command.id), (S::Ready, None));
}

#[derive(Debug, Clone)]
enum Step {
    Ask(usize),
    Report { status: usize, late: bool },
    Fail(bool),
    Again(usize),
    Time(i64),
    Silence(bool),
    Lost,
    Owner(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0usize..4).prop_map(Step::Ask),
        6 => (0usize..6, any::<bool>()).prop_map(|(status, late)| Step::Report { status, late }),
        2 => any::<bool>().prop_map(Step::Fail),
        3 => (0usize..20).prop_map(Step::Again),
        3 => (1i64..400_000).prop_map(Step::Time),
        1 => any::<bool>().prop_map(Step::Silence),
        1 => Just(Step::Lost),
        1 => any::<bool>().prop_map(Step::Owner),
    ];
    prop::collection::vec(step, 1..80)
}

struct Run {
    app: Application,
    now: i64,
    fresh: u128,
    seq: i64,
    ready: bool,
    sent: Vec<Event>,
    open: Vec<Uuid>,
}

impl Run {
    fn start() -> Self {
        let app = created();
        let open = app.command.id.into_iter().collect();
        Self { app, now: 0, fresh: 10_000, seq: 0, ready: true, sent: Vec::new(), open }
    }

    fn event(&mut self, step: &Step) -> Option<Event> {
        self.seq += 1;
        Some(match step {
            Step::Ask(n) => event(["install", "upgrade", "uninstall", "again"][*n], &self.app),
            Step::Report { status, late } => {
                let event = said(seen(&self.app, S::ALL[*status], self.seq));
                self.sent.push(event.clone());
                return (!late).then_some(event);
            }
            Step::Fail(retryable) => said(failed(&self.app, self.seq, *retryable)),
            Step::Again(n) => return self.sent.get(n % self.sent.len().max(1)).cloned(),
            Step::Time(by) => {
                self.now += by;
                Event::Tick
            }
            Step::Silence(held) => Event::Deadline { held: *held },
            Step::Lost => Event::Lost,
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
        let Ok(Decision { application, effects }) = decide(&self.app, &event, &context) else { return };
        for effect in &effects {
            match effect {
                Effect::Send { event_id, .. } => self.open.push(*event_id),
                Effect::Complete { event_id, .. } | Effect::Fail { event_id, .. } => {
                    assert!(self.open.contains(event_id), "{event:?} ended {event_id}, which was not open");
                    self.open.retain(|open| open != event_id);
                }
                _ => {}
            }
        }
        let fence = |app: &Application| (app.command.seen_generation, app.command.seen_epoch, app.command.seen_seq);
        assert!(
            application.command.generation >= self.app.command.generation && fence(&application) >= fence(&self.app)
        );
        self.app = application;
        self.check(&event);
    }

    fn check(&self, event: &Event) {
        let app = &self.app;
        assert_eq!(self.open, app.command.id.into_iter().collect::<Vec<_>>(), "after {event:?}: I2");
        let visible =
            app.command.deadline_ms.is_some() || app.command.next_attempt_ms.is_some() || app.command.reason.is_some();
        assert!(app.command.id.is_none() || visible, "after {event:?}: waits for nothing that is shown: {app:?}");
        let possible = match app.desired {
            Desired::Installed => !matches!(app.status, S::Uninstalling | S::Uninstalled),
            Desired::Uninstalled => matches!(app.status, S::Uninstalling | S::Uninstalled | S::Failed),
        };
        assert!(possible, "after {event:?}: {:?} while {:?} is desired", app.status, app.desired);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_command_ends_or_visibly_waits_and_nothing_goes_back(steps in steps()) {
        let mut run = Run::start();
        steps.iter().for_each(|step| run.take(step));
    }

    #[test]
    fn a_well_behaved_owner_always_reaches_what_is_desired(steps in steps()) {
        let mut run = Run::start();
        steps.iter().for_each(|step| run.take(step));
        run.take(&Step::Owner(true));
        for _ in 0..40 {
            run.take(&Step::Time(400_000));
            let goal = run.app.desired.goal();
            let status = S::ALL.iter().position(|state| *state == goal).unwrap_or(0);
            if run.app.command.deadline_ms.is_some() {
                run.take(&Step::Report { status, late: false });
            }
        }
        prop_assert!(run.app.command.id.is_none(), "still open: {:?}", run.app);
    }
}
