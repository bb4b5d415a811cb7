//! What waits, in which order, for what, and why; and that the question costs what waits.

use std::time::Duration;

use engine::CreateSession;
use engine::queue::{QueueFilter, Waiting, WaitsFor, list, page, sums};
use machine::breaker::Order;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;
use streams::wire::Manifest;
use uuid::Uuid;

use crate::rig::{OWNER, PLATFORM, Rig, eventually, heartbeat, request};

async fn all(rig: &Rig, filter: &QueueFilter) -> Vec<Waiting> {
    list(rig.engine.reader(), filter, None, 100).await.expect("readable")
}

fn told(rows: &[Waiting]) -> Vec<(WaitsFor, i64, &str)> {
    rows.iter().map(|row| (row.waits_for(), row.place, row.user_id.as_str())).collect()
}

#[tokio::test]
async fn each_that_waits_says_for_what_and_why_in_the_order_of_turns() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        for user in ["ann", "ann", "bob"] {
            let request = CreateSession { user_id: user.into(), ..request() };
            rig.engine.create_session(request).await.expect("accepted");
        }
        let manifest = "{apiVersion: stream.space/v1alpha1, kind: Template, metadata: {name: image}, \
            spec: {displayName: Image, baseImage: image}}";
        let manifest = Manifest::parse_all(manifest).expect("a manifest");
        rig.engine.put_templates(manifest).await.expect("written");
        let mut other = heartbeat(2, Uuid::now_v7()); // a platform whose only controller is not well
        (other["controller_id"], other["platform"], other["status"]) =
            (json!("docker-1"), json!("docker"), json!("unhealthy"));
        rig.client.publish("streamspace.controller.heartbeat", other.to_string().into()).await.expect("published");
        let names =
            || async { rig.engine.platform_names().await.expect("readable").contains(&"docker".into()).then_some(()) };
        eventually("the platform is announced", names).await;
        let elsewhere = CreateSession { template_id: "image".into(), platform: Some("docker".into()), ..request() };
        rig.engine.create_session(elsewhere).await.expect("accepted");
        let rows = all(&rig, &QueueFilter::default()).await;
        assert!(rows.iter().all(|row| row.waits_for() == WaitsFor::Place), "{rows:?}");
        let here = QueueFilter { platform: Some(PLATFORM.into()), ..QueueFilter::default() };
        let rows = all(&rig, &here).await;
        let expected = [(WaitsFor::Place, 1, "ann"), (WaitsFor::Place, 2, "bob"), (WaitsFor::Place, 3, "ann")];
        assert_eq!(told(&rows), expected, "bob asked last and for less");
        assert!(rows[0].reason.as_deref().is_some_and(|why| why.contains("no controller of platform noop")));
        let bobs = QueueFilter { user_id: Some("bob".into()), ..here.clone() };
        assert_eq!(told(&all(&rig, &bobs).await), [(WaitsFor::Place, 2, "bob")], "a filter changes no place");
        let rest = list(rig.engine.reader(), &here, Some(rows[0].position()), 1).await.expect("readable");
        assert_eq!(told(&rest), [(WaitsFor::Place, 2, "bob")]);

        let mut controller = rig.controller().await;
        let command = controller.take().await;
        controller.report(&command, "creating").await;
        let begun = || async { Some(all(&rig, &here).await).filter(|rows| rows.len() == 2) };
        let rows = eventually("what was begun waits no more", begun).await;
        assert!(rows.iter().all(|row| row.waits_for() == WaitsFor::Delivery), "{rows:?}");
        assert!(rows.iter().all(|row| row.controller_id.as_deref() == Some(OWNER) && row.reason.is_some()));
        controller.fail(&command, true).await;
        let retry = || async {
            let rows = all(&rig, &here).await;
            rows.into_iter().find(|row| row.waits_for() == WaitsFor::Retry)
        };
        let row = eventually("a retry", retry).await;
        assert!(row.next_attempt_ms.is_some() && row.attempt == 1 && row.reason.is_some(), "{row:?}");

        rig.engine.order_breaker(OWNER, Order::HoldOpen, "its disk".into(), "ann".into()).await.expect("held");
        rig.clock.advance(Duration::from_secs(2));
        let held = || async {
            let rows = all(&rig, &QueueFilter { controller_id: Some(OWNER.into()), ..QueueFilter::default() }).await;
            rows.into_iter().find(|row| row.waits_for() == WaitsFor::Controller)
        };
        let reason = eventually("the controller takes no work", held).await.reason.unwrap_or_default();
        assert!(
            reason.contains("takes no work now") && reason.contains("held open by operator:ann: its disk"),
            "{reason}"
        );
        let sums = sums(rig.engine.reader()).await.expect("readable");
        let docker = sums.iter().find(|sum| sum.platform == "docker").expect("one");
        assert_eq!((docker.waits_for(), docker.count), (WaitsFor::Place, 1));
        assert_eq!(
            sums.iter().map(|sum| sum.count).sum::<i64>(),
            all(&rig, &QueueFilter::default()).await.len() as i64
        );
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn the_queue_is_read_by_what_waits() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let db = rig.engine.reader();
        let backend = db.get_database_backend();
        let filter = QueueFilter { platform: Some(PLATFORM.into()), ..QueueFilter::default() };
        let statement = page(backend, &filter, None, 50);
        let (plan, column) = match backend {
            DbBackend::Postgres => ("EXPLAIN", "QUERY PLAN"),
            _ => ("EXPLAIN QUERY PLAN", "detail"),
        };
        if backend == DbBackend::Postgres {
            // of an empty table a scan is cheapest
            let rows = "INSERT INTO sessions (session_id, user_id, template_id, template, platform, desired, status, created_ms, \
                updated_ms) SELECT gen_random_uuid(), 'ann', 'app', '{}', 'noop', 'running', 'running', n, n \
                FROM generate_series(1, 20000) AS n";
            db.execute_unprepared(rows).await.expect("written");
            db.execute_unprepared("ANALYZE sessions").await.expect("analyzed");
        }
        let values = statement.values.expect("values");
        let explain = Statement::from_sql_and_values(backend, format!("{plan} {}", statement.sql), values);
        let rows = db.query_all_raw(explain).await.expect("a plan");
        let text: Vec<String> = rows.iter().map(|row| row.try_get("", column).expect("a line")).collect();
        assert!(text.iter().any(|line| line.contains("idx_sessions_open")), "{text:#?}");
        rig.engine.stop().await;
    }
}
