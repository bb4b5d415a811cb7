//! The group commit: many at once, each answered for itself.

use engine::clock::Clock;
use engine::fold::fold;
use engine::store::session;
use engine::writer::Ask;
use futures::future::join_all;
use migrations::testing::TestDatabase;
use uuid::Uuid;

use crate::rig::{Rig, request, start};

#[tokio::test]
async fn many_at_once_are_all_written_and_one_bad_one_fails_alone() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let creates = join_all((0..200).map(|_| rig.engine.create_session(request())));
        let stranger = rig.engine.ask(Uuid::now_v7(), Ask::Hibernate);
        let (created, refused) = tokio::join!(creates, stranger);
        assert!(created.iter().all(Result::is_ok), "{:?}", created.iter().find(|one| one.is_err()));
        assert!(refused.is_err_and(|error| error.to_string().contains("there is no session")));
        let page = engine::queries::sessions(rig.engine.reader(), &Default::default(), Default::default(), None, 1000)
            .await
            .expect("readable");
        assert_eq!(page.len(), 200);
    }
}

#[tokio::test]
async fn every_mistake_of_a_request_is_named_at_once() {
    let rig = Rig::sqlite().await;
    let mut bad = request();
    bad.template_id = "nowhere".into();
    bad.platform = Some("toaster".into());
    bad.resources.memory = Some("2Gx".into());
    bad.idle_timeout = Some("soon".into());
    bad.metadata.insert("a".into(), "\0".into());
    let error = rig.engine.create_session(bad).await.expect_err("refused").to_string();
    for field in ["template_id", "platform", "resources.memory", "idle_timeout", "metadata"] {
        assert!(error.contains(field), "{field} is missing in: {error}");
    }
}

#[tokio::test]
async fn two_engines_may_start_at_once_on_a_fresh_database() {
    let database = TestDatabase::postgres().await.expect("a database");
    let nats = streams::testing::nats().await;
    let clock = Clock::default();
    let (one, other) = tokio::join!(start(&database, &nats, &clock), start(&database, &nats, &clock));
    one.stop().await;
    other.stop().await;
}

/// 60 is 32 + 16 + 8 + 4, and no more than a controller gets at a time: most ways in which a statement is cut into pieces.
async fn crowd(rig: Rig) {
    let mut controller = rig.controller().await;
    let created: Vec<Uuid> =
        join_all((0..60).map(|_| rig.create())).await.into_iter().map(|row| row.session_id).collect();
    let mut commands = Vec::new();
    for _ in &created {
        commands.push(controller.take().await);
    }
    join_all(commands.iter().map(|command| controller.report(command, "running"))).await;
    for id in created {
        let row = rig.until(id, "running").await;
        let facts = fold(rig.engine.reader(), &session::Model::entity(id)).await.expect("the fold order has no gaps");
        assert_eq!(facts, row.hard().expect("readable"));
        assert_eq!(rig.commands(id).await, [("session.create".to_owned(), "completed".to_owned())]);
    }
}

#[tokio::test]
async fn what_is_written_together_is_written_whole_on_sqlite() {
    crowd(Rig::sqlite().await).await;
}

#[tokio::test]
async fn what_is_written_together_is_written_whole_on_postgresql() {
    crowd(Rig::postgres().await).await;
}
