//! What does not fit a stream stays where it is, is told of, and goes on by itself when there is room.

use std::collections::HashSet;

use engine::doctor::Verdict;
use engine::store::{dead_letter, event};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use streams::topology::{Limits, SS_DLQ, Settings};

use crate::rig::{Rig, eventually};

const FEW: Limits = Limits { messages: Limits::LEAST_MESSAGES, ..Limits::COMMANDS };

async fn counted(rig: &Rig, status: &str) -> u64 {
    let rows = event::Entity::find().filter(event::Column::Kind.eq("command")).filter(event::Column::Status.eq(status));
    rows.count(rig.engine.reader()).await.expect("readable")
}

#[tokio::test]
async fn commands_that_do_not_fit_stay_pending_and_go_when_there_is_room() {
    for mut rig in [Rig::sqlite().await, Rig::postgres().await] {
        rig.streams(Settings { commands: FEW, ..Settings::default() }).await;
        let announced = rig.announced().await;
        let mut sessions = HashSet::new();
        for _ in 0..40 {
            sessions.insert(rig.create().await.session_id.to_string());
        }
        let full = || async { (counted(&rig, "published").await == 16).then_some(()) };
        eventually("as many as fit are published", full).await;
        assert_eq!(counted(&rig, "pending").await, 24);
        let told = || async {
            let report = rig.engine.doctor().await;
            let mut said = report.checks.iter().flat_map(|check| &check.findings);
            let said = said.any(|f| f.verdict == Verdict::Wrong && f.way_out.contains("--commands-max-messages"));
            (said && rig.engine.metrics().contains("streamspace_stream_fullness{stream=\"SS_COMMANDS\"} 1.0"))
                .then_some(())
        };
        eventually("it is told", told).await;
        let let_go = || async {
            let held = event::Entity::find().filter(event::Column::Status.eq("pending"));
            let held = held.filter(event::Column::ClaimedUntilMs.is_not_null());
            (held.count(rig.engine.reader()).await.expect("readable") == 0).then_some(())
        };
        eventually("no claim is left on what was refused", let_go).await;
        let mut controller = announced.listen().await;
        for _ in 0..40 {
            let command = controller.take().await;
            let session = command["session_id"].as_str().expect("a session").to_owned();
            assert!(sessions.remove(&session), "{session} was sent twice, or by nobody");
            controller.report(&command, "running").await;
        }
        eventually("all are done", || async { (counted(&rig, "completed").await == 40).then_some(()) }).await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn more_dead_letters_than_their_stream_holds_are_all_recorded() {
    for mut rig in [Rig::sqlite().await, Rig::postgres().await] {
        rig.streams(Settings { dead_letters: FEW, ..Settings::default() }).await;
        let jetstream = async_nats::jetstream::new(rig.client.clone());
        for n in 0..30 {
            let sent = jetstream.publish("streamspace.session.status", format!("no JSON, {n}").into()).await;
            sent.expect("sent").await.expect("stored");
        }
        let recorded =
            || async { dead_letter::Entity::find().count(rig.engine.reader()).await.ok().filter(|n| *n == 30) };
        eventually("each has its row", recorded).await;
        let mut stream = jetstream.get_stream(SS_DLQ).await.expect("there");
        assert!(stream.info().await.expect("answered").state.messages <= 16);
        rig.engine.stop().await;
    }
}
