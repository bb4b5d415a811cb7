//! Breadth first through every state within the bounds; and for each class of bug, a proof that it would be found.

use stateright::{Checker as _, Model, Property};

use super::state::{Budget, Bug, State};
use super::step::Step;

#[derive(Clone, Copy)]
struct Bounded {
    budget: Budget,
    bug: Option<Bug>,
}

impl Model for Bounded {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::start(self.budget)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        steps.extend(state.steps());
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let next = last.after(step, self.bug);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("every promise holds", |_, state: &State| state.broken().is_none())]
    }
}

const NONE: Budget = Budget {
    intents: 0,
    engine_crashes: 0,
    worker_crashes: 0,
    failures: 0,
    duplicates: 0,
    losses: 0,
    crowds: 0,
    engines: 2,
};

/// The trouble that is walked through in whole, one mixture a line.
const BOUNDS: [(&str, Budget); 10] = [
    ("two intents", Budget { intents: 2, ..NONE }),
    ("two intents, a crowd", Budget { intents: 2, crowds: 1, engines: 1, ..NONE }),
    ("a crowd, a failure, a crash", Budget { crowds: 1, failures: 1, engine_crashes: 1, engines: 1, ..NONE }),
    ("an intent, a failure", Budget { intents: 1, failures: 1, ..NONE }),
    ("an intent, an engine's crash", Budget { intents: 1, engine_crashes: 1, ..NONE }),
    ("one engine: an intent, a worker's crash", Budget { intents: 1, worker_crashes: 1, engines: 1, ..NONE }),
    ("two crashes of workers", Budget { worker_crashes: 2, ..NONE }),
    (
        "crashes of an engine and a worker, a failure",
        Budget { engine_crashes: 1, worker_crashes: 1, failures: 1, ..NONE },
    ),
    ("an intent, a duplicate", Budget { intents: 1, duplicates: 1, ..NONE }),
    ("one engine: an intent, the store lost", Budget { intents: 1, losses: 1, engines: 1, ..NONE }),
];

/// The promise that breaks first, with the way there.
fn found(budget: Budget, bug: Option<Bug>) -> (usize, Option<(&'static str, String)>) {
    let checker = Bounded { budget, bug }.checker().threads(2).spawn_bfs().join();
    let path = checker.discovery("every promise holds").map(|path| {
        let steps: Vec<_> = path.clone().into_actions().iter().map(|step| format!("  {step:?}")).collect();
        let last = path.last_state();
        (last.broken().unwrap_or("?"), format!("{}\n{last:#?}", steps.join("\n")))
    });
    (checker.unique_state_count(), path)
}

#[test]
fn every_promise_holds_in_every_state_within_the_bounds() {
    for (name, budget) in BOUNDS {
        let begun = std::time::Instant::now();
        let (states, broken) = found(budget, None);
        eprintln!("{name}: {states} states in {:.1?}", begun.elapsed());
        assert!(states > 200, "{name}: the model hardly moves");
        assert!(broken.is_none(), "{name}: {}", broken.map_or(String::new(), |(rule, path)| format!("{rule}\n{path}")));
    }
}

#[track_caller]
fn breaks(bug: Bug, budget: Budget, promise: &str) {
    let found = found(budget, Some(bug)).1;
    assert_eq!(found.as_ref().map(|(rule, _)| *rule), Some(promise), "{}", found.map_or(String::new(), |f| f.1));
}

#[test]
fn a_dropped_fence_is_found() {
    breaks(Bug::DroppedFence, Budget { intents: 2, ..NONE }, "done means that it was done");
}

#[test]
fn an_early_acknowledgement_is_found() {
    breaks(Bug::EarlyAck, Budget { worker_crashes: 1, ..NONE }, "a crash is not blamed on an attempt");
}

#[test]
fn a_forgotten_dedup_is_found() {
    breaks(Bug::ForgottenDedup, Budget { duplicates: 1, ..NONE }, "a report counts once");
}

#[test]
fn a_fresh_command_for_each_publication_is_found() {
    breaks(Bug::FreshCommand, NONE, "what is on its way is a row of the outbox");
}

#[test]
fn a_retry_that_does_not_look_at_the_generation_is_found() {
    breaks(Bug::BlindRetry, Budget { intents: 2, failures: 1, ..NONE }, "what ended stays ended");
}

#[test]
fn a_delete_that_is_acknowledged_while_the_resource_exists_is_found() {
    breaks(Bug::EmptyDelete, Budget { intents: 1, ..NONE }, "done means that it was done");
}
