//! Heartbeats that anybody can send: they are bounded, and nobody who is known waits for them.

use std::time::Duration;

use engine::writer::CONTROLLERS_PER_PLATFORM;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::rig::{OWNER, PLATFORM, Rig, eventually, heartbeat, lane};

const SUBJECT: &str = "streamspace.controller.heartbeat";

fn made_up(n: usize) -> Value {
    json!({ "controller_id": format!("made-up-{n}"), "platform": PLATFORM, "timestamp": "2026-01-01T00:00:00Z",
        "status": "healthy", "capabilities": ["sessions"] })
}

/// How many series of the metrics name a controller.
fn series(rig: &Rig, name: &str) -> usize {
    let start = format!("{name}{{");
    rig.engine.metrics().lines().filter(|line| line.starts_with(&start)).count()
}

async fn known_controller_is_heard(rig: Rig) {
    let controller = rig.controller().await;
    let own = heartbeat(2, controller.instance).to_string();
    for round in 0..4 {
        for n in 0..5_000 {
            let beat = made_up(round * 5_000 + n).to_string();
            rig.client.publish(SUBJECT, beat.into()).await.expect("published");
        }
        let asked = rig.client.request(SUBJECT, own.clone().into());
        let answer = tokio::time::timeout(Duration::from_secs(5), asked).await.expect("at once").expect("answered");
        let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
        assert_eq!(answer["accepted"], true, "{answer}");
    }
    let rows = engine::store::controller::Entity::find().count(rig.engine.reader()).await.expect("counted");
    assert!(rows <= CONTROLLERS_PER_PLATFORM as u64, "{rows} rows");
    assert!(series(&rig, "streamspace_controller_health") <= CONTROLLERS_PER_PLATFORM);
    let row = engine::queries::controller(rig.engine.reader(), OWNER).await.expect("read").expect("there");
    assert_eq!(row.status.as_deref(), Some("healthy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_made_up_ids_neither_silence_a_known_controller_nor_become_rows_on_sqlite() {
    known_controller_is_heard(Rig::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_made_up_ids_neither_silence_a_known_controller_nor_become_rows_on_postgres() {
    known_controller_is_heard(Rig::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_full_says_so_to_one_more() {
    let rig = Rig::sqlite().await;
    let mut refused = Value::Null;
    for n in 0..=CONTROLLERS_PER_PLATFORM {
        let mut beat = made_up(n);
        beat["protocol"] = json!(2); // of the core lane only the first would be admitted
        let asked = rig.client.request(SUBJECT, beat.to_string().into()).await.expect("answered");
        refused = serde_json::from_slice(&asked.payload).expect("JSON");
        assert_eq!(refused["accepted"], n < CONTROLLERS_PER_PLATFORM, "{n}: {refused}");
    }
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains("remove those that are gone")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_names_in_reports_make_no_series() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let (id, command) = rig.running(&mut controller).await;
    for n in 0..300 {
        let who = json!({ "controller_id": format!("made-up-{n}") });
        controller.publish("streamspace.session.status", controller.status(&command, "running", who)).await;
    }
    let applied = "nats_msgs_received_total{subject=\"streamspace.session.status\"} 301";
    eventually("all are read", || async { rig.engine.metrics().contains(applied).then_some(()) }).await;
    controller.publish(&lane(), controller.status(&command, "running", json!({ "url": "http://last/" }))).await;
    eventually("all are applied", || async { rig.session(id).await.url.filter(|url| url == "http://last/") }).await;
    let series = series(&rig, "streamspace_events_processed_total");
    assert!(series <= 2, "its own, and one of all others: {series}");
}

#[tokio::test(flavor = "multi_thread")]
async fn series_of_a_controller_go_with_its_row() {
    let rig = Rig::sqlite().await;
    rig.controller().await;
    assert_eq!(series(&rig, "streamspace_controller_health"), 1);
    let all = engine::store::controller::Entity::delete_many();
    all.exec(&rig.database.database.writer).await.expect("deleted");
    eventually("the series is gone", || async { (series(&rig, "streamspace_controller_health") == 0).then_some(()) })
        .await;
}
