//! The diagram in ARCHITECTURE.md says what the machine does: no edge more, no edge less.

use std::collections::BTreeSet;

use machine::Lane;
use machine::session::{Event, decide};
use streams::wire::SessionState as S;

use crate::world::{at, chosen, failed, in_state, said, seen};

fn documented() -> BTreeSet<(String, String)> {
    let text = include_str!("../../../../ARCHITECTURE.md");
    let begin = text.find("<!-- session-states -->").expect("the diagram begins");
    let end = text.find("<!-- /session-states -->").expect("the diagram ends");
    let edges = text[begin..end].lines().filter_map(|line| line.trim().split_once(" --> "));
    edges.map(|(from, to)| (from.to_owned(), to.to_owned())).collect()
}

/// What can happen to a placed session, with every report that its owner could make.
fn events(state: S) -> Vec<Event> {
    let session = in_state(state);
    let unasked = |status| {
        let mut observation = seen(&session, status, 1_000);
        observation.causation_id = None;
        said(observation)
    };
    let mut events = vec![
        Event::Hibernate,
        Event::Wake(chosen(Lane::Durable)),
        Event::Delete { force: false },
        Event::Again,
        Event::Activity,
        Event::Extend { by_s: 60 },
        Event::OwnerReady,
        Event::Tick,
        Event::Lost,
        Event::Deadline { held: true },
        Event::Deadline { held: false },
        said(failed(&session, 1_000, true)),
        said(failed(&session, 1_000, false)),
    ];
    let mut died = failed(&session, 1_000, true);
    died.causation_id = None;
    events.push(said(died));
    for status in S::ALL {
        events.push(said(seen(&session, status, 1_000)));
        events.push(unasked(status));
    }
    events
}

#[test]
fn the_diagram_is_what_the_machine_does() {
    let mut edges = BTreeSet::new();
    for state in S::ALL {
        for event in events(state) {
            let Ok(decision) = decide(&in_state(state), &event, &at(10_000_000, 9_999)) else { continue };
            let to = decision.session.status;
            if to != state {
                edges.insert((state.as_str().to_owned(), to.as_str().to_owned()));
            }
        }
    }
    let documented = documented();
    let missing: Vec<_> = edges.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&edges).collect();
    assert!(missing.is_empty() && invented.is_empty(), "not in the diagram: {missing:?}; only there: {invented:?}");
}
