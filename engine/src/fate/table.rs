//! Every verdict, from the facts that lead to it, and the order in which the steps are told.

use serde_json::json;
use streams::topology::Whereabouts as W;
use uuid::Uuid;

use super::{AHEAD, Delivery, Facts, Hop, Verdict, compose};
use crate::attempts::Tried;
use crate::open::Open;
use crate::store::text::Tree;
use crate::store::{dead_letter, event};

fn row(kind: &str, status: &str, at_ms: i64) -> event::Model {
    event::Model {
        id: 1,
        event_id: Uuid::nil(),
        subject: "streamspace.session.create.noop.host-1".into(),
        payload: Tree(json!({ "status": "running" })),
        published_at: None,
        processed_at: None,
        processed_by: Some("host-1".into()),
        status: Some(status.into()),
        error_message: None,
        entity: "session:x".into(),
        entity_seq: 1,
        kind: kind.into(),
        direction: String::new(),
        lane: Some("durable".into()),
        generation: 1,
        attempt: 1,
        controller_id: Some("host-1".into()),
        causation_id: None,
        changes: None,
        traceparent: None,
        stream_epoch: None,
        stream_seq: None,
        claimed_until_ms: None,
        ready: true,
        turn: 0,
        created_ms: at_ms,
        processed_ms: None,
    }
}

fn facts(kind: &str, status: &str) -> Facts {
    Facts {
        event: row(kind, status, 1_000),
        caused: Vec::new(),
        attempts: Vec::new(),
        open: None,
        letter: None,
        successor: None,
        delivery: None,
        ahead: None,
        connected: true,
    }
}

/// A command in this state, which is the open one, with a deadline.
fn open(status: &str) -> Facts {
    let open = Open { deadline_ms: Some(60_000), ..Open::default() };
    Facts { open: Some(open), ..facts("command", status) }
}

fn letter(status: &str) -> dead_letter::Model {
    dead_letter::Model {
        id: Uuid::nil(),
        event_id: None,
        source: String::new(),
        subject: String::new(),
        reason: "permanent".into(),
        error: "it went boom".into(),
        payload: Vec::new(),
        headers: json!([]),
        attempts: json!([]),
        entity: None,
        controller_id: None,
        platform: None,
        fingerprint: String::new(),
        status: status.into(),
        note: Some("as told".into()),
        copied: true,
        created_ms: 9_000,
        updated_ms: 9_000,
        settled_by: None,
        entity_seq: 1,
        edit: None,
        digest: None,
        count: 1,
        last_ms: None,
        repeats: None,
        verified: true,
    }
}

fn noted(mut facts: Facts, note: &str) -> Facts {
    facts.event.error_message = Some(note.into());
    facts
}

fn travelling(delivery: Option<Delivery>) -> Facts {
    Facts { delivery, ..open("published") }
}

fn waits(reason: &str) -> Facts {
    let open = Open { reason: Some(reason.into()), ..Open::default() };
    Facts { open: Some(open), ..facts("command", "pending") }
}

#[test]
fn every_state_has_its_word_and_says_why() {
    use Verdict as V;
    let known = |whereabouts| travelling(Some(Delivery::Known(whereabouts)));
    let retries = Open { next_attempt_ms: Some(4_000), reason: Some("attempt 1 failed".into()), ..Open::default() };
    let failed = |letter| Facts { letter, ..noted(facts("command", "failed"), "boom") };
    let superseded = noted(facts("command", "completed"), "superseded by generation 2");
    let cases = [
        (waits("no controller of platform noop"), V::Waiting, "no controller of platform noop"),
        (Facts { ahead: Some(0), ..open("pending") }, V::Waiting, "the next in the outbox for host-1"),
        (Facts { ahead: Some(7), ..open("pending") }, V::Waiting, "behind 7 others"),
        (Facts { ahead: Some(AHEAD), ..open("pending") }, V::Waiting, "at least 1000"),
        (Facts { connected: false, ..open("pending") }, V::Waiting, "until NATS can be reached"),
        (known(W::Queued), V::InFlight, "has not fetched it"),
        (known(W::HandedOut), V::InFlight, "was given it"),
        (known(W::Acknowledged), V::InFlight, "looked after at 1970-01-01T00:01:00Z"),
        (known(W::Unserved), V::InFlight, "no consumer"),
        (known(W::Lost), V::InFlight, "sent again"),
        (travelling(Some(Delivery::Unknown)), V::InFlight, "does not answer"),
        (travelling(None), V::InFlight, "was sent to host-1"),
        (open("processing"), V::Working, "has begun"),
        (Facts { open: Some(retries), ..open("processing") }, V::Retrying, "next attempt at 1970-01-01T00:00:04Z"),
        (facts("command", "completed"), V::Completed, "host-1 carried it out"),
        (superseded.clone(), V::Superseded, "something newer"),
        (Facts { successor: Some(row("command", "pending", 2)), ..superseded }, V::Superseded, "session.create"),
        (failed(Some(letter("open"))), V::DeadLettered, "waits for somebody to replay or discard"),
        (failed(Some(letter("replayed"))), V::DeadLettered, "is replayed: as told"),
        (failed(None), V::Failed, "it failed: boom; no dead letter of it is kept"),
        (facts("command", "pending"), V::Unaccounted, "a defect"),
        (facts("command", "published"), V::Unaccounted, "session:x does not own up to it"),
        (facts("report", "completed"), V::Applied, "taken over"),
        (noted(facts("report", "completed"), "superseded: old"), V::Superseded, "changed nothing"),
        (facts("decision", "completed"), V::Decided, "nothing more is to come"),
    ];
    let mut met: Vec<&str> = cases.iter().map(|(_, verdict, _)| verdict.as_str()).collect();
    for (facts, verdict, says) in cases {
        let fate = compose(facts);
        assert_eq!(fate.verdict, verdict, "{}", fate.sentence);
        assert!(fate.sentence.contains(says), "{says:?} is not in {:?}", fate.sentence);
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!(met.len(), Verdict::ALL.len(), "each word is met");
}

#[test]
fn the_steps_are_told_in_the_order_in_which_they_were() {
    let mut facts = facts("command", "failed");
    facts.event.published_at = chrono::DateTime::from_timestamp_millis(2_000);
    facts.event.attempt = 2;
    facts.event.processed_ms = Some(9_000);
    (facts.event.stream_epoch, facts.event.stream_seq) = (Some(3), Some(17));
    let mut report = row("report", "completed", 5_000);
    report.attempt = 2;
    report.payload = Tree(json!({ "status": "failed", "error": { "message": "it went boom" } }));
    report.changes = Some(Tree(json!({ "status": "failed", "seen_seq": 4 })));
    let mut again = row("command", "pending", 12_000);
    again.event_id = Uuid::max();
    facts.caused = vec![report, again];
    let tried = |attempt, error: &str| Tried {
        attempt,
        at_ms: 1_000 + attempt,
        outcome: "failed".into(),
        error: Some(error.into()),
        controller_id: None,
    };
    facts.attempts = vec![tried(1, "no_report"), tried(2, "it went boom")];
    facts.letter = Some(letter("replayed"));
    let hops = compose(facts).hops;
    let told: Vec<(&str, Option<i64>)> = hops.iter().map(|hop| (hop.step, hop.attempt)).collect();
    let steps = ["accepted", "attempt_failed", "published", "reported", "dead_lettered", "replayed"];
    assert_eq!(told, steps.into_iter().zip([None, Some(1), Some(2), Some(2), None, Some(1)]).collect::<Vec<_>>());
    let text = |step: &str| hops.iter().find(|hop| hop.step == step).map_or("", |hop: &Hop| hop.text.as_str());
    assert!(text("published").ends_with("sequence 17 of epoch 3"));
    assert_eq!(text("reported"), "failed: it went boom by host-1; changed status");
}
