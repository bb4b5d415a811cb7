//! What cannot be processed keeps its bytes and becomes a dead letter.

use serde_json::json;
use uuid::Uuid;

use crate::rig::{Rig, lane};

async fn raw(rig: &Rig, subject: &str, bytes: &'static [u8]) {
    rig.client.publish(subject.to_owned(), bytes.into()).await.expect("published");
}

#[tokio::test]
async fn undecodable_bytes_on_any_report_subject_are_parked_with_their_bytes() {
    let rig = Rig::sqlite().await;
    for subject in [lane(), "streamspace.session.status".into(), "streamspace.controller.world.noop.host-1".into()] {
        raw(&rig, &subject, b"\xff\x00 not json").await;
    }
    let parked = || async { Some(rig.dead_letters().await).filter(|all| all.len() == 3) };
    let letters = crate::rig::eventually("three dead letters", parked).await;
    assert!(letters.iter().all(|letter| letter.reason == "undecodable" && letter.payload == b"\xff\x00 not json"));
}

#[tokio::test]
async fn an_undecodable_heartbeat_is_parked() {
    let rig = Rig::sqlite().await;
    raw(&rig, "streamspace.controller.heartbeat", b"{").await;
    assert_eq!(rig.dead_letter("undecodable").await.subject, "streamspace.controller.heartbeat");
}

#[tokio::test]
async fn a_report_for_an_unknown_session_is_quarantined() {
    let rig = Rig::sqlite().await;
    let controller = rig.controller().await;
    let stranger = json!({ "session_id": Uuid::now_v7(), "event_id": Uuid::now_v7(), "generation": 1, "attempt": 1 });
    controller.report(&stranger, "running").await;
    assert!(rig.dead_letter("unknown").await.error.contains("there is no session"));
}

#[tokio::test]
async fn a_controller_that_reports_on_a_session_of_another_is_refused() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    let report = controller.status(&command, "deleted", json!({ "controller_id": "host-2" }));
    controller.publish("streamspace.session.status.noop.host-2", report).await;
    assert!(rig.dead_letter("illegal").await.error.contains("belongs to controller host-1"));
    assert_eq!(rig.session(id).await.status, "pending");
}

#[tokio::test]
async fn a_dead_letter_is_copied_to_the_public_stream_once() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    controller.fail(&command, false).await;
    rig.until(id, "failed").await;
    let copied = || async { Some(rig.dead_letters().await).filter(|all| all.iter().all(|letter| letter.copied)) };
    let letters = crate::rig::eventually("the copy", copied).await;
    assert_eq!(letters.len(), 1);
}
