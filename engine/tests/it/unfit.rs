//! What NATS cannot carry is refused where it is accepted; what was accepted before fails with its reason, and holds up nobody.

use engine::InstallApplication;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;
use streams::wire::Manifest;
use uuid::Uuid;

use crate::rig::{PLATFORM, Rig, eventually};

fn manifest(name: &str, description: usize) -> String {
    json!({ "apiVersion": "stream.space/v1alpha1", "kind": "Template", "metadata": { "name": name },
        "spec": { "displayName": "Large", "description": "d".repeat(description) } })
    .to_string()
}

#[tokio::test]
async fn a_template_whose_sessions_could_not_be_started_is_refused_at_every_door() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let large = manifest("large", 1_100_000);
        let refused = Manifest::parse_all(&large).expect_err("refused").to_string();
        assert!(["spec.description", "16384"].iter().all(|word| refused.contains(word)), "{refused}");
        let app = InstallApplication {
            manifest: Some(large),
            template_name: None,
            platform: Some(PLATFORM.into()),
            installed_by: "ann".into(),
        };
        let error = format!("{:?}", rig.engine.install(app).await.expect_err("refused"));
        assert!(
            error.contains("manifest") && error.contains("262144"),
            "an application has a bound of its own: {error}"
        );
        let mut controller = rig.controller().await;
        let report = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "template_name": "large",
            "display_name": "Large", "category": "x", "base_image": "x", "platform": PLATFORM,
            "manifest": manifest("large", 1_005_000) });
        controller.publish("streamspace.template.create", report).await;
        let parked = || async { rig.dead_letters().await.pop() };
        let letter = eventually("it is parked", parked).await;
        assert!(letter.error.contains("spec.description") || letter.error.contains("262144"), "{}", letter.error);
        rig.running(&mut controller).await;
        let fits = Manifest::parse_all(&manifest("fits", 16_384)).expect("a manifest");
        rig.engine.put_templates(fits).await.expect("it fits");
        let request = engine::CreateSession { template_id: "fits".into(), ..crate::rig::request() };
        let id = rig.engine.create_session(request).await.expect("accepted").session_id;
        let command = controller.take().await;
        controller.report(&command, "running").await;
        rig.until(id, "running").await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_command_that_was_accepted_and_cannot_be_carried_fails_and_the_others_go() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let large: Vec<Uuid> = vec![rig.create().await.session_id, rig.create().await.session_id];
        let sql = match rig.database.backend() {
            DbBackend::Postgres => {
                "UPDATE event_log SET payload = jsonb_set(payload, '{more}', to_jsonb(repeat('a', 1100000))) \
                 WHERE kind = 'command'"
            }
            _ => {
                "UPDATE event_log SET payload = json_set(payload, '$.more', hex(zeroblob(550000))) WHERE kind = 'command'"
            }
        };
        rig.database.database.writer.execute_unprepared(sql).await.expect("changed");
        let other = rig.create().await.session_id;
        let mut controller = rig.controller().await;
        let command = controller.take().await;
        assert_eq!(command["session_id"], json!(other));
        controller.report(&command, "running").await;
        rig.until(other, "running").await;
        for id in large {
            let row = rig.until(id, "failed").await;
            assert!(row.message.is_some_and(|message| message.contains("cannot be sent")), "{:?}", row.reason);
        }
        let letters = rig.dead_letters().await;
        assert!(letters.len() == 2 && letters.iter().all(|letter| letter.reason == "permanent"), "{letters:?}");
        rig.engine.stop().await;
    }
}
