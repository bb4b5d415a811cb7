//! The trip through JetStream, and what duplicates, lateness and failures do to it.

use std::time::Duration;

use engine::writer::Ask;
use serde_json::json;

use crate::rig::{Rig, eventually, lane};

async fn a_life(rig: Rig) {
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    for (ask, verb, on_the_way, goal) in [
        (None, "session.create", "creating", "running"),
        (Some(Ask::Hibernate), "session.hibernate", "hibernating", "hibernated"),
        (Some(Ask::Wake), "session.wake", "waking", "running"),
        (Some(Ask::Delete { force: false }), "session.delete", "deleting", "deleted"),
    ] {
        if let Some(ask) = ask {
            rig.engine.ask(id, ask).await.expect("accepted");
        }
        let command = controller.take().await;
        controller.report(&command, on_the_way).await;
        controller.report(&command, goal).await;
        rig.until(id, goal).await;
        let commands = rig.commands(id).await;
        assert_eq!(commands.last(), Some(&(verb.to_owned(), "completed".to_owned())));
    }
    assert_eq!(engine::account::unaccounted(rig.engine.reader()).await.expect("readable"), 0);
}

#[tokio::test]
async fn a_session_lives_and_dies_on_sqlite() {
    a_life(Rig::sqlite().await).await;
}

#[tokio::test]
async fn a_session_lives_and_dies_on_postgresql() {
    a_life(Rig::postgres().await).await;
}

#[tokio::test]
async fn a_report_that_comes_twice_counts_once() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    let report = controller.status(&command, "running", json!({ "url": "http://here" }));
    controller.publish(&lane(), report.clone()).await;
    rig.until(id, "running").await;
    let before = rig.log(id).await.len();
    controller.publish(&lane(), report).await;
    let _later = rig.running(&mut controller).await; // a report after the duplicate shows that it was dealt with
    assert_eq!(rig.log(id).await.len(), before);
    assert!(rig.dead_letters().await.is_empty());
}

#[tokio::test]
async fn the_same_id_with_other_bytes_is_parked() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    let mut report = controller.status(&command, "running", json!({}));
    controller.publish(&lane(), report.clone()).await;
    rig.until(id, "running").await;
    report["status"] = json!("deleted");
    controller.publish(&lane(), report).await;
    let letter = rig.dead_letter("illegal").await;
    assert!(letter.error.contains("other content"), "{}", letter.error);
    assert_eq!(rig.session(id).await.status, "running");
}

#[tokio::test]
async fn a_late_report_of_an_older_generation_changes_nothing() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let (id, create) = rig.running(&mut controller).await;
    rig.engine.ask(id, Ask::Hibernate).await.expect("accepted");
    let hibernate = controller.take().await;
    controller.report(&hibernate, "hibernated").await;
    rig.until(id, "hibernated").await;
    controller.report(&create, "creating").await;
    let superseded = || async {
        rig.log(id).await.into_iter().find(|row| row.error_message.as_deref().is_some_and(|e| e.contains("superseded")))
    };
    eventually("the late report in the log", superseded).await;
    assert_eq!(rig.session(id).await.status, "hibernated");
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_when_its_time_comes() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    controller.fail(&command, true).await;
    let due = || async { rig.session(id).await.next_attempt_ms };
    eventually("a visible next attempt", due).await;
    rig.clock.advance(Duration::from_secs(2));
    let again = controller.take().await;
    assert_eq!((&again["event_id"], &again["attempt"]), (&command["event_id"], &json!(2)));
    controller.report(&again, "running").await;
    rig.until(id, "running").await;
}

#[tokio::test]
async fn a_permanent_failure_becomes_a_dead_letter_that_can_be_replayed() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    controller.fail(&command, false).await;
    rig.until(id, "failed").await;
    let letter = rig.dead_letter("permanent").await;
    assert_eq!(letter.attempts[0]["error"]["code"], "boom");
    let replayed = rig.engine.replay(letter.id, "ops".into()).await.expect("replayed");
    assert_eq!(replayed.status, "replayed");
    let again = controller.take().await;
    assert_eq!(again["generation"], 2);
    controller.report(&again, "running").await;
    rig.until(id, "running").await;
    assert!(rig.engine.replay(letter.id, "ops".into()).await.is_err(), "a second replay is refused");
}

#[tokio::test]
async fn what_was_accepted_survives_a_restart_of_the_engine() {
    let mut rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    rig.restart().await;
    let command = controller.take().await;
    rig.restart().await;
    controller.report(&command, "running").await;
    rig.until(id, "running").await;
}

#[tokio::test]
async fn an_idle_session_is_hibernated_and_says_why() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let mut request = crate::rig::request();
    request.idle_timeout = Some("10m".into());
    let id = rig.engine.create_session(request).await.expect("accepted").session_id;
    let command = controller.take().await;
    controller.report(&command, "running").await;
    rig.until(id, "running").await;
    rig.clock.advance(Duration::from_secs(601));
    let row = rig.until(id, "hibernating").await;
    assert!(row.reason.is_some_and(|why| why.starts_with("idle")));
}
