//! Applications: installed, used, upgraded and uninstalled, in both lanes, through losses and failures.

use std::time::Duration;

use engine::store::application;
use engine::{InstallApplication, WriteError};
use futures::StreamExt;
use machine::facts::Facts as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Controller, OWNER, PLATFORM, Rig, eventually};

fn manifest(name: &str, display_name: &str) -> String {
    format!(
        "# kept as it came\napiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: {{name: {name}}}\nspec:\n  displayName: {display_name}\n"
    )
}

fn request(display_name: &str) -> InstallApplication {
    let manifest = Some(manifest("paint", display_name));
    InstallApplication { manifest, installed_by: "ann".into(), ..InstallApplication::default() }
}

async fn install(rig: &Rig) -> Uuid {
    rig.engine.install(request("Paint")).await.expect("accepted").install_id
}

async fn row(rig: &Rig, id: Uuid) -> application::Model {
    engine::queries::application(rig.engine.reader(), id).await.expect("readable").expect("there")
}

async fn until(rig: &Rig, id: Uuid, status: &str) -> application::Model {
    eventually(status, || async { Some(row(rig, id).await).filter(|row| row.install_status == status) }).await
}

async fn template(rig: &Rig) -> Option<engine::store::template::Model> {
    let row = engine::queries::template(rig.engine.reader(), "paint").await.expect("readable");
    row.filter(|row| !row.deleted)
}

async fn report(controller: &Controller, command: &Value, status: &str, more: Value) {
    let mut report = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z",
        "install_id": command["install_id"], "template_name": command["template_name"], "status": status,
        "generation": command["generation"], "causation_id": command["event_id"], "attempt": command["attempt"],
        "controller_id": OWNER, "instance_id": controller.instance });
    for (name, value) in more.as_object().into_iter().flatten() {
        report[name] = value.clone();
    }
    controller.publish(&format!("streamspace.app.status.{PLATFORM}.{OWNER}"), report).await;
}

async fn fail(controller: &Controller, command: &Value, retryable: bool) {
    let error = json!({ "code": "boom", "message": "it went boom", "retryable": retryable });
    report(controller, command, "failed", json!({ "error": error })).await;
}

async fn folds(rig: &Rig, id: Uuid) {
    let facts = engine::fold::fold(rig.engine.reader(), &application::Model::entity(id)).await.expect("no gaps");
    let stored = row(rig, id).await.facts().expect("readable").hard();
    for (name, value) in stored {
        assert_eq!(facts.get(&name), Some(&value), "{name}");
    }
}

async fn a_life(rig: Rig) {
    let mut controller = rig.controller().await;
    let id = install(&rig).await;
    let command = controller.take().await;
    assert_eq!((&command["template_name"], &command["generation"]), (&json!("paint"), &json!(1)));
    assert_eq!(command["manifest"], manifest("paint", "Paint"));
    report(&controller, &command, "installing", json!({ "message": "pulls the image" })).await;
    assert_eq!(until(&rig, id, "installing").await.install_message.as_deref(), Some("pulls the image"));
    assert!(template(&rig).await.is_none(), "not before it is ready");
    report(&controller, &command, "ready", json!({ "message": "done" })).await;
    until(&rig, id, "ready").await;
    let known = template(&rig).await.expect("registered");
    assert_eq!(known.source, application::Model::entity(id));
    folds(&rig, id).await;

    let again = rig.engine.install(request("Paint")).await.expect("accepted");
    assert_eq!((again.install_id, again.generation), (id, 1), "the same manifest answers what is there");
    let session = crate::rig::request();
    let session = engine::CreateSession { template_id: "paint".into(), ..session };
    let session = rig.engine.create_session(session).await.expect("accepted").session_id;
    let create = controller.take().await;
    controller.report(&create, "running").await;
    rig.until(session, "running").await;
    let refused = rig.engine.uninstall(id, false).await.expect_err("in use");
    assert!(matches!(&refused, WriteError::InUse { count: 1, first, .. } if *first == [session]), "{refused:?}");

    rig.engine.uninstall(id, true).await.expect("forced");
    let command = controller.take().await;
    report(&controller, &command, "uninstalling", json!({})).await;
    report(&controller, &command, "uninstalled", json!({})).await;
    until(&rig, id, "uninstalled").await;
    assert!(template(&rig).await.is_none(), "gone with its application");
    assert_eq!(rig.session(session).await.status, "running", "what runs lives on");
    folds(&rig, id).await;
    assert_ne!(install(&rig).await, id, "a new one after the end");
    assert_eq!(engine::account::unaccounted(rig.engine.reader()).await.expect("readable"), 0);
}

#[tokio::test]
async fn an_application_lives_and_ends_on_sqlite() {
    a_life(Rig::sqlite().await).await;
}

#[tokio::test]
async fn an_application_lives_and_ends_on_postgresql() {
    a_life(Rig::postgres().await).await;
}

#[tokio::test]
async fn a_plain_controller_that_only_says_ready_registers_the_template() {
    let rig = Rig::sqlite().await;
    let mut inbox = rig.client.subscribe(format!("streamspace.app.*.{PLATFORM}")).await.expect("subscribed");
    rig.client.flush().await.expect("flushed");
    let beat = json!({ "controller_id": "plain_1", "platform": PLATFORM, "timestamp": "2026-01-01T00:00:00Z",
        "status": "healthy", "version": "1.0.0", "capabilities": ["applications"], "cluster_info": {} });
    rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
    let id = install(&rig).await;
    for (verb, status) in [("install", "ready"), ("uninstall", "uninstalled")] {
        if verb == "uninstall" {
            rig.engine.uninstall(id, false).await.expect("accepted");
        }
        let next = tokio::time::timeout(Duration::from_secs(20), inbox.next()).await.expect("in time").expect("open");
        assert_eq!(next.subject.as_str(), format!("streamspace.app.{verb}.{PLATFORM}"));
        let report = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "install_id": id,
            "status": status, "template_name": "paint", "template_namespace": "streamspace", "message": "done" });
        rig.client.publish("streamspace.app.status", report.to_string().into()).await.expect("published");
        until(&rig, id, status).await;
        assert_eq!(template(&rig).await.is_some(), status == "ready");
    }
}

#[tokio::test]
async fn an_install_in_a_lost_stream_is_sent_again() {
    let rig = Rig::sqlite().await;
    let _announced = rig.controller().await;
    let id = install(&rig).await;
    let jetstream = async_nats::jetstream::new(rig.client.clone());
    eventually("published", || async { is_published(&rig, id).await.then_some(()) }).await;
    for stream in ["SS_COMMANDS", "SS_REPORTS", "SS_DLQ"] {
        jetstream.delete_stream(stream).await.expect("deleted");
    }
    eventually("made anew", || async { jetstream.get_stream("SS_COMMANDS").await.ok() }).await;
    let mut controller = rig.controller().await;
    let command = controller.take().await;
    assert_eq!(command["attempt"], 2);
    report(&controller, &command, "ready", json!({})).await;
    until(&rig, id, "ready").await;
}

async fn is_published(rig: &Rig, id: Uuid) -> bool {
    let log = engine::queries::events(rig.engine.reader(), &application::Model::entity(id), 0, 100).await;
    log.expect("readable").iter().any(|row| row.status.as_deref() == Some("published"))
}

#[tokio::test]
async fn a_failed_install_is_tried_again_dead_lettered_and_replayed() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = install(&rig).await;
    let command = controller.take().await;
    fail(&controller, &command, true).await;
    eventually("a visible next attempt", || async { row(&rig, id).await.next_attempt_ms }).await;
    rig.clock.advance(Duration::from_secs(2));
    let again = controller.take().await;
    assert_eq!((&again["event_id"], &again["attempt"]), (&command["event_id"], &json!(2)));
    fail(&controller, &again, false).await;
    until(&rig, id, "failed").await;
    let letter = rig.dead_letter("permanent").await;
    assert_eq!(letter.entity.as_deref(), Some(application::Model::entity(id).as_str()));
    rig.engine.replay(letter.id, "ops".into()).await.expect("replayed");
    let replayed = controller.take().await;
    assert_eq!(replayed["generation"], 2);
    fail(&controller, &replayed, false).await;
    until(&rig, id, "failed").await;
    assert_eq!(install(&rig).await, id, "asking again tries again");
    let command = controller.take().await;
    report(&controller, &command, "ready", json!({})).await;
    until(&rig, id, "ready").await;
    folds(&rig, id).await;
}

#[tokio::test]
async fn another_manifest_of_the_same_name_is_an_upgrade() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = install(&rig).await;
    let first = controller.take().await;
    report(&controller, &first, "ready", json!({})).await;
    until(&rig, id, "ready").await;
    let upgraded = rig.engine.install(request("Paint 2")).await.expect("accepted");
    assert_eq!((upgraded.install_id, upgraded.generation, upgraded.install_status.as_str()), (id, 2, "pending"));
    let second = controller.take().await;
    report(&controller, &second, "ready", json!({})).await;
    until(&rig, id, "ready").await;
    assert_eq!(template(&rig).await.expect("there").display_name, "Paint 2");
}

async fn tell_template(controller: &Controller, display_name: &str) {
    let template = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "template_name": "paint",
        "display_name": display_name, "category": "", "base_image": "", "platform": PLATFORM,
        "manifest": manifest("paint", display_name) });
    controller.publish(&format!("streamspace.template.create.{PLATFORM}.{OWNER}"), template).await;
}

#[tokio::test]
async fn a_controllers_template_is_registered_but_never_over_what_an_operator_wrote() {
    let rig = Rig::sqlite().await;
    let controller = rig.controller().await;
    for name in ["Paint", "Paint 2"] {
        tell_template(&controller, name).await;
        let shown = || async { template(&rig).await.filter(|row| row.display_name == name) };
        let row = eventually("the controller's own", shown).await;
        assert_eq!(row.source, format!("controller:{OWNER}"));
    }
    let mine = streams::wire::Manifest::parse_all(&manifest("paint", "Mine")).expect("a manifest").remove(0);
    rig.engine.put_templates(vec![mine]).await.expect("written");
    tell_template(&controller, "Paint 3").await;
    let letter = rig.dead_letter("illegal").await;
    assert!(letter.error.contains("an operator wrote it"), "{}", letter.error);
    assert_eq!(template(&rig).await.expect("there").display_name, "Mine");
    let refused = rig.engine.install(request("Paint")).await.expect_err("the name is taken");
    assert!(refused.to_string().contains("an operator wrote it"), "{refused}");
    rig.engine.delete_template("paint").await.expect("deleted");
    rig.engine.replay(letter.id, "ops".into()).await.expect("replayed");
    eventually("the replayed one", || async { template(&rig).await.filter(|row| row.display_name == "Paint 3") }).await;
}

#[tokio::test]
async fn an_application_without_a_controller_waits_visibly_and_can_be_given_up() {
    let rig = Rig::sqlite().await;
    let waiting = rig.engine.install(request("Paint")).await.expect("accepted");
    assert!(waiting.reason.as_deref().is_some_and(|why| why.contains("no controller")), "{waiting:?}");
    assert_eq!(rig.engine.uninstall(waiting.install_id, false).await.expect("gone").install_status, "uninstalled");
    let id = install(&rig).await;
    let mut controller = rig.controller().await;
    let command = controller.take().await;
    report(&controller, &command, "ready", json!({})).await;
    until(&rig, id, "ready").await;
}
