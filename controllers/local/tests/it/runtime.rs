//! The runtime with real processes behind it, against a real NATS server.

use std::{fs, sync::Arc};

use chrono::Utc;
use controllers::testing::{Stage, command};
use driver_local::Local;
use serde_json::json;
use streams::{
    subject::Verb,
    wire::{AppState, AppStatus, SessionCreate, SessionState},
};
use uuid::Uuid;

use crate::world::{self, server, until};

fn create(session: Uuid, generation: i64) -> SessionCreate {
    controllers::testing::create(session, generation, server())
}

#[tokio::test]
async fn a_create_is_announced_done_and_reported_with_its_cause() {
    let (world, session) = (world::World::new(), Uuid::new_v4());
    let mut stage = Stage::new().await;
    let (heartbeat, told) = stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    assert_eq!(heartbeat.protocol, Some(2));
    assert!(heartbeat.capacity.unwrap().sessions_max > 0);
    assert!(told.last && told.sessions.is_empty());
    assert_eq!(Some(told.instance_id), heartbeat.instance_id);

    let order = create(session, 3);
    stage.send(Verb::SessionCreate, &serde_json::to_value(&order).unwrap()).await;
    let (first, last) = (stage.status().await, stage.status().await);
    for status in [&first, &last] {
        assert_eq!((status.session_id, status.causation_id), (session, Some(order.event_id)));
        assert_eq!((status.generation, status.attempt), (Some(3), Some(1)));
        assert_eq!((status.controller_id.as_deref(), status.instance_id), (Some("host-1"), heartbeat.instance_id));
    }
    assert_eq!((first.status, last.status), (SessionState::Creating, SessionState::Running));
    assert!(last.url.unwrap().starts_with("http://127.0.0.1:"));
    stage.all_acknowledged().await;

    world::kill(world.pid(session));
    let died = stage.status().await;
    assert_eq!((died.status, died.generation, died.causation_id), (SessionState::Failed, Some(3), None));
    assert_eq!(died.error.unwrap().code, "process_exited");

    stage.send(Verb::SessionDelete, &command(session, 4)).await;
    assert_eq!(stage.status().await.status, SessionState::Deleting);
    assert_eq!(stage.status().await.status, SessionState::Deleted);
    stage.stop().await;
    assert!(!world.session_folder(session).exists());
}

#[tokio::test]
async fn a_failed_attempt_is_a_report_and_then_acknowledged() {
    let (world, mut stage) = (world::World::new(), Stage::new().await);
    stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    let order = SessionCreate { template: None, ..create(Uuid::new_v4(), 1) };
    stage.send(Verb::SessionCreate, &serde_json::to_value(&order).unwrap()).await;
    assert_eq!(stage.status().await.status, SessionState::Creating);
    let failed = stage.status().await;
    assert_eq!((failed.status, failed.causation_id), (SessionState::Failed, Some(order.event_id)));
    let error = failed.error.unwrap();
    assert_eq!((error.code.as_str(), error.retryable, error.user_error), ("template_not_for_local", false, true));
    stage.all_acknowledged().await;
    stage.stop().await;
}

#[tokio::test]
async fn a_command_that_comes_again_acts_once() {
    let (world, session) = (world::World::new(), Uuid::new_v4());
    let mut stage = Stage::new().await;
    stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    let order = serde_json::to_value(create(session, 1)).unwrap();
    let mut pids = Vec::new();
    for _ in 0..2 {
        stage.send(Verb::SessionCreate, &order).await;
        while stage.status().await.status != SessionState::Running {}
        pids.push(world::processes(&session.to_string()));
    }
    assert_eq!(pids[0].len(), 1);
    assert_eq!(pids[0], pids[1]);
    stage.stop().await;
}

#[tokio::test]
async fn the_world_of_the_last_run_is_the_world_of_this_one() {
    let (world, session) = (world::World::new(), Uuid::new_v4());
    let mut stage = Stage::new().await;
    let (before, _) = stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    stage.send(Verb::SessionCreate, &serde_json::to_value(create(session, 1)).unwrap()).await;
    while stage.status().await.status != SessionState::Running {}
    stage.stop().await;
    let pid = world.pid(session);
    world::kill(pid);
    until("it is gone", || !world::alive(pid)).await;
    fs::metadata(world.session_folder(session)).unwrap();
    let (after, told) = stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    assert_eq!(after.world_id, before.world_id);
    assert_ne!(Some(told.instance_id), before.instance_id);
    assert_eq!(
        told.sessions.iter().map(|s| (s.session_id, s.status)).collect::<Vec<_>>(),
        [(session, SessionState::Failed)]
    );
    stage.stop().await;
}

fn app_status(status: AppState) -> impl Fn(&AppStatus) -> bool {
    move |said| said.status == status
}

#[tokio::test]
async fn an_install_is_announced_checked_and_reported_and_a_mistake_names_its_line() {
    let world = world::World::new();
    let mut stage = Stage::new().await;
    stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    let install = |text: &str, generation: i64| {
        json!({ "event_id": Uuid::now_v7(), "timestamp": Utc::now(), "install_id": Uuid::nil(), "catalog_template_id": 1,
            "template_name": "paint", "display_name": "Paint", "manifest": text, "installed_by": "ann",
            "platform": "test", "generation": generation, "attempt": 1 })
    };
    let text = "apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: {name: paint}\nspec:\n  displayName: Paint\n  local:\n    command: [sh]\n";
    let order = install(text, 1);
    stage.send(Verb::AppInstall, &order).await;
    let mut said = Vec::new();
    while !said.last().is_some_and(app_status(AppState::Ready)) {
        said.push(stage.next::<AppStatus>("streamspace.app.status.test.host-1").await);
    }
    assert_eq!(said[0].status, AppState::Installing);
    assert!(said.iter().any(|said| said.message.as_deref().is_some_and(|m| m.contains("looks whether"))), "{said:?}");
    let ready = said.last().unwrap();
    assert_eq!((json!(ready.causation_id), ready.generation), (order["event_id"].clone(), Some(1)));

    stage.send(Verb::AppInstall, &install(&text.replace("[sh]", "[no-such-program]"), 2)).await;
    let failed = loop {
        let said = stage.next::<AppStatus>("streamspace.app.status.test.host-1").await;
        if app_status(AppState::Failed)(&said) {
            break said.error.unwrap();
        }
    };
    assert!(failed.user_error && failed.message.starts_with("line 7: spec.local.command"), "{failed:?}");
    stage.all_acknowledged().await;
    stage.stop().await;
}
