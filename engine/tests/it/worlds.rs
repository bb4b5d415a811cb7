//! A controller's world is told in parts, and several engines may read them.

use engine::writer::Ask;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Controller, OWNER, PLATFORM, Rig, eventually};

/// All that the owner says to have, which is nothing.
fn nothing(controller: &Controller) -> Value {
    json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "controller_id": OWNER, "platform": PLATFORM,
        "sync_id": Uuid::now_v7(), "instance_id": controller.instance, "part": 0, "last": true,
        "span": { "from": Uuid::nil() }, "sessions": [] })
}

#[tokio::test]
async fn a_world_that_was_told_before_the_owner_began_ends_no_delete() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let (witness, _) = rig.running(&mut controller).await;
        let id = rig.create().await.session_id;
        let create = controller.take().await; // it begins, and has not said so
        rig.engine.ask(id, Ask::Delete { force: false }).await.expect("accepted");
        controller.publish(&format!("streamspace.controller.world.{PLATFORM}.{OWNER}"), nothing(&controller)).await;
        let noticed = || async { Some(rig.session(witness).await.status).filter(|status| status != "running") };
        eventually("the world", noticed).await;
        let row = rig.session(id).await;
        assert_eq!((row.status.as_str(), row.command_verb.as_deref()), ("deleting", Some("session.delete")));
        controller.report(&create, "running").await;
        let delete = loop {
            let command = controller.take().await;
            if command["session_id"] == json!(id) {
                break command; // the other one is for the witness, which is to run again
            }
        };
        controller.report(&delete, "deleted").await;
        rig.until(id, "deleted").await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_part_that_names_its_span_is_settled_though_another_engine_read_the_rest() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let mut ids = [rig.running(&mut controller).await.0, rig.running(&mut controller).await.0];
        ids.sort_unstable();
        let part = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "controller_id": OWNER,
            "platform": PLATFORM, "sync_id": Uuid::now_v7(), "instance_id": controller.instance, "part": 1, "last": true,
            "span": { "from": ids[1] }, "sessions": [] });
        controller.publish(&format!("streamspace.controller.world.{PLATFORM}.{OWNER}"), part).await;
        let noticed = || async { Some(rig.session(ids[1]).await.status).filter(|status| status != "running") };
        eventually("the absence of what the part does not tell", noticed).await;
        assert_eq!(rig.session(ids[0]).await.status, "running", "no part told of it");
    }
}
