//! Time travel: a session as its log says that it was.

use std::time::Duration;

use engine::AmendSession;
use engine::fold::SNAPSHOT;
use engine::history::{Error, session_at};
use engine::store::session;
use engine::writer::Ask;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::rig::Rig;

/// A moment after all that has happened, and before all that comes.
async fn moment(rig: &Rig) -> i64 {
    rig.clock.advance(Duration::from_secs(2));
    let now = rig.engine.now_ms().await.expect("a time");
    rig.clock.advance(Duration::from_secs(2));
    now
}

async fn at(rig: &Rig, id: Uuid, ms: i64) -> Result<Option<session::Model>, Error> {
    session_at(rig.engine.reader(), id, ms).await
}

#[tokio::test]
async fn a_session_is_shown_as_it_was_at_every_moment_of_its_life() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let before = moment(&rig).await;
        let mut moments = Vec::new();
        let id = rig.create().await.session_id;
        let command = controller.take().await;
        let mut note = async |status: &str| {
            let row = rig.until(id, status).await;
            moments.push((moment(&rig).await, row));
        };
        note("pending").await;
        controller.report(&command, "running").await;
        note("running").await;
        let tags = AmendSession { tags: Some(vec!["late".into()]), ..AmendSession::default() };
        rig.engine.amend_session(id, None, tags).await.expect("amended");
        note("running").await;
        rig.engine.ask(id, Ask::Delete { force: false }).await.expect("accepted");
        let command = controller.take().await;
        controller.report(&command, "deleted").await;
        note("deleted").await;

        for (ms, row) in &moments {
            let then = at(&rig, id, *ms).await.expect("known").expect("a session");
            assert_eq!(then.hard().expect("readable"), row.hard().expect("readable"), "at {ms}");
            assert_eq!((then.entity_seq, &then.user_id), (row.entity_seq, &row.user_id));
            assert_eq!((then.connections, then.idle_ms, then.resource_usage), (None, None, None));
        }
        let statuses: Vec<&str> = moments.iter().map(|(_, row)| row.status.as_str()).collect();
        assert_eq!(statuses, ["pending", "running", "running", "deleted"]);
        assert!(matches!(at(&rig, id, before).await, Err(Error::NotYet { created_ms }) if created_ms > before));
        assert!(at(&rig, Uuid::now_v7(), before).await.expect("readable").is_none());
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn of_the_time_before_a_snapshot_nobody_claims_to_know() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let id = rig.create().await.session_id;
        let early = moment(&rig).await;
        rig.engine.ask(id, Ask::Delete { force: true }).await.expect("accepted");
        let row = rig.session(id).await;
        rig.engine.stop().await;
        let entity = session::Model::entity(id);
        let hard = serde_json::Value::Object(row.hard().expect("readable"));
        let prune = format!("DELETE FROM event_log WHERE entity = '{entity}' AND entity_seq < {}", row.entity_seq);
        let cast =
            if rig.engine.reader().get_database_backend() == sea_orm::DbBackend::Postgres { "::jsonb" } else { "" };
        let snapshot =
            format!("UPDATE event_log SET subject = '{SNAPSHOT}', changes = '{hard}'{cast} WHERE entity = '{entity}'");
        for sql in [prune, snapshot] {
            rig.database.database.writer.execute_unprepared(&sql).await.expect("written");
        }
        let late = engine::verify::whole(rig.engine.reader()).await.expect("readable");
        assert_eq!(late.found, 0, "a pruned log agrees with its row: {:?}", late.findings);
        assert!(matches!(at(&rig, id, early).await, Err(Error::Pruned { since_ms }) if since_ms > early));
        let now = at(&rig, id, i64::MAX).await.expect("known").expect("a session");
        assert_eq!(now.hard().expect("readable"), row.hard().expect("readable"));
    }
}
