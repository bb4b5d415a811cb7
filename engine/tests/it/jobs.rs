//! Many things at once: a job ends, whoever dies, and does each item once.

use std::time::{Duration, Instant};

use engine::fold::fold;
use engine::jobs::{Kind, NewJob, Pace, What};
use engine::queries::{LetterFilter, SessionFilter};
use engine::store::job;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::rig::{Rig, eventually, request, start};

fn sessions(kind: Kind) -> NewJob {
    let what = What::Sessions(SessionFilter::default());
    NewJob { kind, what, force: false, dry_run: false, pace: Pace::default(), reason: None, created_by: "ops".into() }
}

pub(crate) async fn ended(rig: &Rig, id: Uuid) -> job::Model {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let row = engine::queries::job(&rig.database.database.reader, id).await.expect("readable").expect("a job");
        if !row.is_running() {
            return row;
        }
        assert!(Instant::now() < deadline, "the job does not end: {row:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn create(rig: &Rig, count: usize) {
    for created in join_all((0..count).map(|_| rig.engine.create_session(request()))).await {
        created.expect("accepted");
    }
}

fn counts(row: &job::Model) -> [i64; 4] {
    [row.total, row.done, row.skipped, row.failed]
}

/// Commands and decisions that say that sessions were deleted.
async fn deletions(rig: &Rig) -> usize {
    let filter = engine::events::EventFilter {
        subject: Some("streamspace.decision.deleted_unplaced".to_owned().try_into().expect("a pattern")),
        ..Default::default()
    };
    engine::events::list(rig.engine.reader(), &filter, None, 5000).await.expect("readable").len()
}

#[tokio::test]
async fn a_thousand_sessions_are_deleted_by_one_job_and_its_log_folds_to_its_row() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        create(&rig, 1000).await;
        let asked = rig.engine.create_job(sessions(Kind::Delete)).await.expect("accepted");
        assert_eq!((asked.status.as_str(), asked.total), ("running", 1000));
        let row = ended(&rig, asked.job_id).await;
        assert_eq!((row.status.as_str(), counts(&row)), ("completed", [1000, 1000, 0, 0]));
        assert_eq!(deletions(&rig).await, 1000);
        let folded = fold(rig.engine.reader(), &job::Model::entity(row.job_id)).await.expect("no gaps");
        for (name, value) in [("status", json!("completed")), ("done", json!(1000)), ("created_by", json!("ops"))] {
            assert_eq!(folded[name], value, "{name}");
        }
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_dry_run_counts_what_would_be_done_and_changes_nothing() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let (id, _) = rig.running(&mut controller).await;
    create(&rig, 2).await; // both wait for their commands: they cannot sleep yet
    let before = rig.log(id).await.len();
    let asked = rig.engine.create_job(NewJob { dry_run: true, ..sessions(Kind::Hibernate) }).await.expect("accepted");
    let row = ended(&rig, asked.job_id).await;
    assert_eq!(counts(&row), [3, 1, 0, 2]);
    assert_eq!(row.failures[0]["type"], "illegal-transition", "{}", row.failures);
    assert_eq!((rig.log(id).await.len(), rig.session(id).await.status.as_str()), (before, "running"));
    let wake = rig.engine.create_job(sessions(Kind::Wake)).await.expect("accepted");
    assert_eq!(counts(&ended(&rig, wake.job_id).await), [3, 0, 3, 0], "awake already, or on the way");
}

#[tokio::test]
async fn a_job_whose_engine_stops_halfway_is_finished_by_another() {
    for mut rig in [Rig::sqlite().await, Rig::postgres().await] {
        create(&rig, 600).await;
        let asked = rig.engine.create_job(sessions(Kind::Delete)).await.expect("accepted");
        let begun = || async {
            let row = engine::queries::job(rig.engine.reader(), asked.job_id).await.expect("readable")?;
            Some(row).filter(|row| row.done > 0)
        };
        eventually("the first step", begun).await;
        rig.engine.stop().await;
        let left = engine::queries::job(rig.engine.reader(), asked.job_id).await.expect("readable").expect("a job");
        assert!(left.is_running() && left.done < 600, "{left:?}");
        rig.restart().await;
        let row = ended(&rig, asked.job_id).await;
        assert_eq!((row.status.as_str(), counts(&row)), ("completed", [600, 600, 0, 0]));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn two_engines_do_a_job_once() {
    let rig = Rig::postgres().await;
    let other = start(&rig.database, &rig.nats, &rig.clock).await;
    create(&rig, 500).await;
    let asked =
        join_all([rig.engine.create_job(sessions(Kind::Delete)), other.create_job(sessions(Kind::Delete))]).await;
    let mut done = 0;
    for asked in asked {
        let row = ended(&rig, asked.expect("accepted").job_id).await;
        assert_eq!((row.failed, row.done + row.skipped), (0, row.total), "{row:?}");
        done += row.done;
    }
    assert_eq!((done, deletions(&rig).await), (500, 500));
    other.stop().await;
}

#[tokio::test]
async fn a_claim_that_ran_out_is_taken_over() {
    let rig = Rig::postgres().await;
    create(&rig, 3).await;
    rig.engine.stop().await;
    let sql = "INSERT INTO jobs (job_id, kind, status, filter, created_by, created_ms, updated_ms, claimed_by, claimed_until_ms) \
               VALUES ('00000000-0000-4000-8000-000000000001', 'sessions.delete', 'running', '{}', 'ops', 9e15, 0, \
               '00000000-0000-4000-8000-000000000002', (extract(epoch FROM now()) * 1000)::bigint + 3600000)";
    sea_orm::ConnectionTrait::execute_unprepared(&rig.database.database.writer, sql).await.expect("written");
    let other = start(&rig.database, &rig.nats, &rig.clock).await;
    let id = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001);
    let still = engine::queries::job(other.reader(), id).await.expect("readable").expect("a job");
    assert_eq!(still.done, 0, "another holds it");
    rig.clock.advance(Duration::from_secs(3601));
    assert_eq!(ended(&rig, id).await.done, 3);
    other.stop().await;
}

#[tokio::test]
async fn a_cancelled_job_stays_where_it_stands() {
    let rig = Rig::sqlite().await;
    create(&rig, 400).await;
    let asked = rig.engine.create_job(sessions(Kind::Delete)).await.expect("accepted");
    let cancelled = rig.engine.cancel_job(asked.job_id, "ops".into()).await.expect("cancelled");
    assert_eq!(cancelled.status, "cancelled");
    assert_eq!(rig.engine.cancel_job(asked.job_id, "ops".into()).await.expect("again"), cancelled);
    assert_eq!(ended(&rig, asked.job_id).await, cancelled);
    assert!(rig.engine.cancel_job(Uuid::now_v7(), "ops".into()).await.is_err());
}

#[tokio::test]
async fn dead_letters_are_replayed_by_a_job_as_new_intents_and_the_overtaken_ones_are_told() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let id = rig.create().await.session_id;
            let command = controller.take().await;
            controller.fail(&command, false).await;
            rig.until(id, "failed").await;
            ids.push((id, command["event_id"].as_str().expect("an id").parse::<Uuid>().expect("an id")));
        }
        rig.engine.ask(ids[2].0, engine::writer::Ask::Wake).await.expect("overtaken");
        let what = What::Letters(LetterFilter { status: Some("open".into()), ..LetterFilter::default() });
        let new = NewJob { kind: Kind::Replay, what, ..sessions(Kind::Replay) };
        let dry = rig.engine.create_job(NewJob { dry_run: true, ..new.clone() }).await.expect("accepted");
        assert_eq!(counts(&ended(&rig, dry.job_id).await), [3, 2, 0, 1]);
        let asked = rig.engine.create_job(new).await.expect("accepted");
        let row = ended(&rig, asked.job_id).await;
        assert_eq!(counts(&row), [3, 2, 0, 1]);
        assert_eq!(row.failures[0]["type"], "superseded", "{}", row.failures);
        for (id, failed) in &ids[..2] {
            let log = rig.log(*id).await;
            let command = log.iter().rfind(|row| row.kind == "command").expect("a command");
            assert_eq!((command.generation, command.causation_id), (2, Some(*failed)));
        }
        let letter = rig.dead_letters().await.into_iter().find(|row| row.status == "replayed").expect("one");
        assert_eq!(letter.settled_by.as_deref(), Some("ops"));
        let folded = fold(rig.engine.reader(), &format!("dead_letter:{}", letter.id)).await.expect("no gaps");
        assert_eq!((&folded["status"], &folded["settled_by"]), (&json!("replayed"), &json!("ops")));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_discarded_dead_letter_stays_as_a_record_and_is_not_replayed() {
    let rig = Rig::sqlite().await;
    rig.client.publish(crate::rig::lane(), "no json".into()).await.expect("published");
    let letter = rig.dead_letter("undecodable").await;
    let gone = rig.engine.discard(letter.id, "a test of ours".into(), "ops".into()).await.expect("discarded");
    assert_eq!((gone.status.as_str(), gone.note.as_deref()), ("discarded", Some("a test of ours")));
    let again = rig.engine.discard(letter.id, "something else".into(), "eve".into()).await.expect("holds already");
    assert_eq!(again, gone, "the first reason stays");
    assert!(
        rig.engine.replay(letter.id, "ops".into()).await.is_err_and(|error| error.to_string().contains("discarded"))
    );
}
