//! A controller's world is told in parts, and several engines may read them.

use serde_json::json;
use uuid::Uuid;

use crate::rig::{OWNER, PLATFORM, Rig, eventually};

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
