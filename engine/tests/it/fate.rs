//! Where an event is can be asked at every step of its trip, and the answer is what the tables and JetStream say.

use engine::InstallApplication;
use engine::fate::{Delivery, Fate};
use engine::writer::Ask;
use serde_json::{Value, json};
use streams::topology::Whereabouts;
use uuid::Uuid;

use crate::rig::{OWNER, Rig, eventually};

async fn fate(rig: &Rig, event_id: Uuid) -> Fate {
    rig.engine.fate(event_id).await.expect("readable").expect("an event")
}

/// Asks until it stands so.
async fn until(rig: &Rig, event_id: Uuid, verdict: &str) -> Fate {
    let so = || async { Some(fate(rig, event_id).await).filter(|fate| fate.verdict.as_str() == verdict) };
    eventually(verdict, so).await
}

fn id_of(command: &Value) -> Uuid {
    command["event_id"].as_str().expect("an id").parse().expect("an id")
}

fn steps(fate: &Fate) -> Vec<&'static str> {
    fate.hops.iter().map(|hop| hop.step).collect()
}

async fn both() -> [Rig; 2] {
    [Rig::sqlite().await, Rig::postgres().await]
}

#[tokio::test]
async fn a_command_is_followed_from_the_outbox_to_its_end() {
    for rig in both().await {
        let command = rig.create().await.command_id.expect("an open command");
        let waiting = fate(&rig, command).await;
        assert_eq!((waiting.verdict.as_str(), waiting.ahead), ("waiting", None), "{}", waiting.sentence);
        let announced = rig.announced().await;
        let queued = eventually("published", || async {
            let queued = Delivery::Known(Whereabouts::Queued);
            Some(fate(&rig, command).await).filter(|fate| fate.delivery == Some(queued))
        })
        .await;
        assert_eq!(queued.verdict.as_str(), "in_flight");
        let mut controller = announced.listen().await;
        let taken = controller.take().await;
        let acknowledged = fate(&rig, command).await;
        assert_eq!(acknowledged.delivery, Some(Delivery::Known(Whereabouts::Acknowledged)));
        controller.report(&taken, "creating").await;
        until(&rig, command, "working").await;
        controller.report(&taken, "running").await;
        let done = until(&rig, command, "completed").await;
        let told = steps(&done);
        assert_eq!((told.first(), told.last()), (Some(&"accepted"), Some(&"completed")), "{told:?}");
        assert!(["decided", "published", "reported"].iter().all(|step| told.contains(step)), "{told:?}");
        assert!(done.hops.windows(2).all(|two| two[0].at_ms <= two[1].at_ms));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_failed_command_is_retrying_then_a_dead_letter_and_then_replayed() {
    for rig in both().await {
        let mut controller = rig.controller().await;
        rig.create().await;
        let command = controller.take().await;
        let id = id_of(&command);
        controller.fail(&command, true).await;
        let retrying = until(&rig, id, "retrying").await;
        assert!(retrying.next_attempt_ms.is_some() && retrying.sentence.contains("boom"), "{}", retrying.sentence);
        rig.clock.advance(std::time::Duration::from_secs(2));
        let again = controller.take().await;
        controller.fail(&again, false).await;
        let dead = until(&rig, id, "dead_lettered").await;
        let letter = dead.dead_letter.as_ref().expect("a letter");
        assert!(dead.sentence.contains(&letter.id.to_string()) && dead.sentence.contains("it went boom"));
        rig.engine.replay(letter.id, "ann".into()).await.expect("replayed");
        let replayed = fate(&rig, id).await;
        let hop = replayed.hops.iter().find(|hop| hop.step == "replayed").expect("the replay is a step");
        assert_eq!(hop.event_id.map(|new| new == id), Some(false));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn an_overtaken_command_names_the_one_that_took_its_place_and_a_late_report_is_told_as_such() {
    for rig in both().await {
        let mut controller = rig.controller().await;
        let id = rig.create().await.session_id;
        let first = controller.take().await;
        let newer = rig.engine.ask(id, Ask::Delete { force: false }).await.expect("accepted");
        let fate = until(&rig, id_of(&first), "superseded").await;
        assert_eq!(fate.superseded_by, newer.command_id);
        let second = controller.take().await;
        controller.report(&second, "deleted").await;
        rig.until(id, "deleted").await;
        let late =
            controller.status(&first, "failed", json!({ "error": { "code": "x", "message": "y", "retryable": true } }));
        controller.publish(&crate::rig::lane(), late.clone()).await;
        let known = || async { rig.engine.fate(id_of(&late)).await.expect("readable") };
        assert_eq!(eventually("the late report", known).await.verdict.as_str(), "superseded");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn an_event_that_never_was_has_no_fate() {
    let rig = Rig::sqlite().await;
    assert_eq!(rig.engine.fate(Uuid::now_v7()).await.expect("readable"), None);
}

#[tokio::test]
async fn while_nats_is_away_its_part_is_told_as_unknown_and_the_rest_as_ever() {
    let mut rig = Rig::sqlite().await;
    rig.announced().await;
    let command = rig.create().await.command_id.expect("an open command");
    until(&rig, command, "in_flight").await;
    rig.nats.down().await.expect("stopped");
    let unknown = || async { Some(fate(&rig, command).await).filter(|fate| fate.delivery == Some(Delivery::Unknown)) };
    eventually("NATS is away", unknown).await;
}

#[tokio::test]
async fn the_attempts_that_nobody_reported_on_are_told_of_applications_too() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let manifest =
        "{apiVersion: stream.space/v1alpha1, kind: Template, metadata: {name: paint}, spec: {displayName: Paint}}";
    let ask = InstallApplication { manifest: Some(manifest.into()), installed_by: "ann".into(), ..Default::default() };
    rig.engine.install(ask).await.expect("accepted");
    let id = id_of(&controller.take().await);
    rig.clock.advance(std::time::Duration::from_secs(361));
    let retrying = until(&rig, id, "retrying").await;
    let failed = retrying.hops.iter().find(|hop| hop.step == "attempt_failed").expect("the silent attempt is a step");
    assert!(failed.text.contains("never reported") && failed.attempt == Some(1), "{failed:?}");
}

#[tokio::test]
async fn what_a_revoked_controller_owes_is_followed_like_any_other_command() {
    for rig in both().await {
        let mut controller = rig.controller().await;
        rig.running(&mut controller).await;
        rig.engine.revoke(OWNER, "the host is gone".into(), "ann".into()).await.expect("revoked");
        let id = id_of(&controller.take().await);
        let sent = until(&rig, id, "in_flight").await;
        assert!(sent.event.entity.starts_with("debt:") && sent.deadline_ms.is_some(), "{sent:?}");
        rig.clock.advance(std::time::Duration::from_secs(361));
        let retrying = until(&rig, id, "retrying").await;
        assert!(retrying.next_attempt_ms.is_some(), "{retrying:?}");
        let failed =
            retrying.hops.iter().find(|hop| hop.step == "attempt_failed").expect("its history is that of the debt");
        assert!(failed.text.contains("never reported") && failed.attempt == Some(1), "{failed:?}");
        rig.engine.stop().await;
    }
}
