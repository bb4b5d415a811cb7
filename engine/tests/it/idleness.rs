//! Idleness that can be explained, on real databases, with the clock moved by hand.

use std::time::Duration;

use engine::WriteError;
use engine::fold::fold;
use engine::store::session;
use engine::writer::Ask;
use machine::session::{Awake, awake};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Controller, Rig, eventually, lane, request};

const MINUTE: Duration = Duration::from_secs(60);

async fn running(rig: &Rig, controller: &mut Controller, idle: &str, max: Option<&str>) -> (Uuid, Value) {
    let mut request = request();
    (request.idle_timeout, request.max_duration) = (Some(idle.into()), max.map(str::to_owned));
    let id = rig.engine.create_session(request).await.expect("accepted").session_id;
    let command = controller.take().await;
    controller.report(&command, "running").await;
    rig.until(id, "running").await;
    (id, command)
}

/// Reports what a session looks like without being asked.
async fn looks(controller: &Controller, command: &Value, signs: Value) {
    let mut report = controller.status(command, "running", signs);
    report.as_object_mut().expect("an object").retain(|name, _| name != "causation_id" && name != "attempt");
    controller.publish(&lane(), report).await;
}

async fn shown(rig: &Rig, id: Uuid) -> Awake {
    awake(&rig.session(id).await.facts().expect("readable")).expect("it runs")
}

async fn because(rig: &Rig, id: Uuid, kind: &str) -> Awake {
    eventually(kind, || async { Some(shown(rig, id).await).filter(|awake| awake.reasons[0].kind == kind) }).await
}

async fn decisions(rig: &Rig, id: Uuid, name: &str) -> Vec<Value> {
    let subject = format!("streamspace.decision.{name}");
    rig.log(id).await.into_iter().filter(|row| row.subject == subject).map(|row| row.payload.into()).collect()
}

async fn warned(rig: &Rig, id: Uuid, name: &str, times: usize) -> Vec<Value> {
    let given = || async { Some(decisions(rig, id, name).await).filter(|given| given.len() == times) };
    eventually(&format!("{times} of {name}"), given).await
}

async fn folds(rig: &Rig, id: Uuid) {
    let folded = fold(rig.engine.reader(), &session::Model::entity(id)).await.expect("no gaps");
    assert_eq!(folded, rig.session(id).await.hard().expect("readable"));
}

async fn a_run_of_warnings(mut rig: Rig) {
    let mut controller = rig.controller().await;
    let (id, _) = running(&rig, &mut controller, "10m", None).await;
    rig.clock.advance(9 * MINUTE + MINUTE / 2);
    let warnings = warned(&rig, id, "idle_warning", 1).await;
    let stops_at = shown(&rig, id).await.sleeps_at_ms.and_then(chrono::DateTime::from_timestamp_millis);
    assert_eq!(warnings[0]["stops_at"], json!(stops_at));
    assert!(warnings[0]["prevent"].as_str().is_some_and(|text| text.contains("/extend")), "{warnings:?}");
    rig.restart().await;
    rig.engine.ask(id, Ask::Activity).await.expect("accepted");
    rig.clock.advance(9 * MINUTE + MINUTE / 2);
    warned(&rig, id, "idle_warning", 2).await; // so the restart did not repeat the first
    rig.clock.advance(MINUTE);
    rig.until(id, "hibernating").await;
    assert_eq!(decisions(&rig, id, "idle_warning").await.len(), 2);
    folds(&rig, id).await;
}

#[tokio::test]
async fn each_stop_is_warned_of_once_even_over_a_restart_on_sqlite() {
    a_run_of_warnings(Rig::sqlite().await).await;
}

#[tokio::test]
async fn each_stop_is_warned_of_once_even_over_a_restart_on_postgresql() {
    a_run_of_warnings(Rig::postgres().await).await;
}

async fn signs_of_use(rig: Rig) {
    let mut controller = rig.controller().await;
    let (id, command) = running(&rig, &mut controller, "10m", Some("8h")).await;
    let rows = rig.log(id).await.len();
    looks(&controller, &command, json!({ "resource_usage": { "cpu": "300m", "memory": "1Gi" } })).await;
    because(&rig, id, "usage").await;
    looks(&controller, &command, json!({ "connections": 2 })).await;
    assert_eq!(because(&rig, id, "connections").await.sleeps_at_ms, None);
    rig.clock.advance(20 * MINUTE);
    let (other, _) = running(&rig, &mut controller, "1m", None).await;
    rig.clock.advance(2 * MINUTE);
    rig.until(other, "hibernating").await; // the timers have looked since
    assert_eq!(rig.session(id).await.status, "running");
    assert_eq!(rig.log(id).await.len(), rows, "signs of use are no rows of the log");
    looks(&controller, &command, json!({ "connections": 0, "resource_usage": { "cpu": "9m" } })).await;
    eventually("a time to sleep", || async { shown(&rig, id).await.sleeps_at_ms }).await;
    rig.clock.advance(11 * MINUTE);
    rig.until(id, "hibernating").await;
    folds(&rig, id).await;
}

#[tokio::test]
async fn an_open_connection_keeps_it_awake_and_a_closed_one_does_not_on_sqlite() {
    signs_of_use(Rig::sqlite().await).await;
}

#[tokio::test]
async fn an_open_connection_keeps_it_awake_and_a_closed_one_does_not_on_postgresql() {
    signs_of_use(Rig::postgres().await).await;
}

#[tokio::test]
async fn an_extension_is_logged_and_bounded_and_gone_with_its_run() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let (id, _) = running(&rig, &mut controller, "10m", Some("30m")).await;
    let before = shown(&rig, id).await;
    rig.engine.ask(id, Ask::Extend { by_s: 3600 }).await.expect("accepted");
    let extended = shown(&rig, id).await;
    let hour = |at: Option<i64>| at.map(|at| at + 3_600_000);
    assert_eq!(extended.sleeps_at_ms, hour(before.sleeps_at_ms));
    assert_eq!(extended.expires_at_ms, hour(before.expires_at_ms));
    assert_eq!(decisions(&rig, id, "extended").await.len(), 1);
    let refused = rig.engine.ask(id, Ask::Extend { by_s: 8 * 3600 }).await;
    assert!(matches!(refused, Err(WriteError::Refused(machine::session::Error::TooFar { left_s: 25_200, .. }))));
    folds(&rig, id).await;
    rig.clock.advance(65 * MINUTE);
    warned(&rig, id, "idle_warning", 0).await;
    assert_eq!(rig.session(id).await.status, "running");
    rig.engine.ask(id, Ask::Activity).await.expect("accepted");
    rig.clock.advance(9 * MINUTE);
    warned(&rig, id, "idle_warning", 1).await;
    rig.engine.ask(id, Ask::Activity).await.expect("accepted");
    rig.clock.advance(9 * MINUTE);
    rig.engine.ask(id, Ask::Activity).await.expect("accepted");
    rig.clock.advance(5 * MINUTE);
    warned(&rig, id, "expiry_warning", 1).await;
    rig.clock.advance(4 * MINUTE);
    let asleep = rig.until(id, "hibernating").await;
    assert_eq!((asleep.reason.as_deref(), asleep.extended_s), (Some("maximum duration reached"), 0));
    folds(&rig, id).await;
}
