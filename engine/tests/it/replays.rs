//! What replays would do is known before, from the production machine, and the few that go first stop the rest where they fail.

use std::time::Duration;

use engine::fold::fold;
use engine::jobs::{Kind, NewJob, Pace, What};
use engine::queries::LetterFilter;
use engine::store::canary::Stage;
use engine::store::job;
use engine::writer::{Ask, Outlooks};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Controller, Rig, eventually, lane};

fn replay() -> NewJob {
    let filter = LetterFilter { status: Some("open".into()), ..LetterFilter::default() };
    let (kind, what, pace) = (Kind::Replay, What::Letters(filter), Pace::default());
    NewJob { kind, what, force: false, dry_run: false, pace, reason: None, created_by: "ops".into() }
}

/// Fails for good, by a mistake of the user's: no breaker opens for it.
async fn refuse(controller: &Controller, command: &Value) {
    let error = json!({ "code": "boom", "message": "it went boom", "retryable": false, "user_error": true });
    controller.publish(&lane(), controller.status(command, "failed", json!({ "error": error }))).await;
}

/// A session whose command was given up.
async fn failed(rig: &Rig, controller: &mut Controller) -> Uuid {
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    refuse(controller, &command).await;
    rig.until(id, "failed").await;
    id
}

async fn job(rig: &Rig, id: Uuid) -> job::Model {
    engine::queries::job(rig.engine.reader(), id).await.expect("readable").expect("a job")
}

/// The job, once it is in this state.
async fn until(rig: &Rig, id: Uuid, status: &str) -> job::Model {
    eventually(&format!("job {status}"), || async { Some(job(rig, id).await).filter(|row| row.status == status) }).await
}

#[tokio::test]
async fn a_dry_run_says_what_the_machine_would_do_and_changes_nothing() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let id = failed(&rig, &mut controller).await;
        let gone = failed(&rig, &mut controller).await;
        rig.engine.ask(gone, Ask::Delete { force: false }).await.expect("accepted");
        let letters = rig.dead_letters().await;
        let entity = format!("session:{id}");
        let (one, other): (Vec<_>, Vec<_>) =
            letters.iter().partition(|letter| letter.entity.as_deref() == Some(&*entity));
        let before = rig.log(id).await;

        let (letter, outlook) = rig.engine.replay_outlook(one[0].id).await.expect("it could be replayed");
        assert_eq!(
            (letter.status.as_str(), outlook.id, outlook.entity.as_deref()),
            ("open", letter.id, Some(&*entity))
        );
        let verb = outlook.outcome.clone();
        assert!(verb.starts_with("session."), "{outlook:?}");
        let expected = format!("session {id}: failed at generation 1 → {verb} at generation 2, to host-1; then waking");
        assert_eq!(outlook.text, expected);
        let refused = rig.engine.replay_outlook(other[0].id).await.expect_err("it is being deleted").to_string();
        assert!(refused.contains("overtaken"), "{refused}");

        let asked = rig.engine.create_job(NewJob { dry_run: true, ..replay() }).await.expect("accepted");
        let row = until(&rig, asked.job_id, "completed").await;
        assert_eq!([row.total, row.done, row.failed, row.skipped], [2, 1, 1, 0]);
        let found = Outlooks::deserialize(&row.outlook).expect("outlooks");
        let counts: Vec<_> = found.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(counts, [(verb.as_str(), 1), ("superseded", 1)]);
        assert_eq!(found.items, [outlook]);
        assert_eq!(rig.log(id).await, before);
        assert!(rig.dead_letters().await.iter().all(|letter| letter.status == "open"));

        rig.engine.replay(one[0].id, "ops".into()).await.expect("replayed");
        let now = rig.session(id).await;
        assert_eq!((now.status.as_str(), now.generation), ("waking", 2), "what was foretold");
        let refused = rig.engine.replay_outlook(one[0].id).await.expect_err("once").to_string();
        assert!(refused.contains("replayed already"), "{refused}");
        rig.engine.stop().await;
    }
}

/// Sessions whose commands were given up, all of one cause.
async fn failures(rig: &Rig, controller: &mut Controller, count: usize) {
    for _ in 0..count {
        failed(rig, controller).await;
    }
}

async fn open(rig: &Rig) -> usize {
    rig.dead_letters().await.iter().filter(|letter| letter.status == "open").count()
}

fn careful(canary: u32) -> NewJob {
    NewJob { pace: Pace { canary: Some(canary), rate: None }, ..replay() }
}

#[tokio::test]
async fn a_canary_that_fails_again_halts_its_job_until_an_operator_resumes_it() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        failures(&rig, &mut controller, 5).await;
        let id = rig.engine.create_job(careful(2)).await.expect("accepted").job_id;
        let (first, second) = (controller.take().await, controller.take().await);
        let waiting = || async { job(&rig, id).await.canary().filter(|canary| canary.stage == Stage::Waiting) };
        assert_eq!(eventually("the canary", waiting).await.tries.len(), 2);
        refuse(&controller, &second).await;
        let row = until(&rig, id, "halted").await;
        let canary = row.canary().expect("a canary");
        let bad = canary.tries.iter().find(|one| one.has_failed()).expect("one failed");
        let reason = row.reason.clone().unwrap_or_default();
        assert!(reason.contains(&bad.letter.to_string()) && reason.contains("it went boom"), "{reason}");
        assert_eq!(
            (row.done, canary.stage, open(&rig).await),
            (2, Stage::Failed, 3 + 1),
            "the others wait, one is new"
        );

        controller.report(&first, "running").await;
        rig.engine.resume_job(id, "ops".into()).await.expect("resumed");
        for _ in 0..3 {
            let command = controller.take().await; // two of the next canary, then the last
            controller.report(&command, "running").await;
        }
        let row = until(&rig, id, "completed").await;
        assert_eq!((row.done, row.failed, row.reason.as_deref(), open(&rig).await), (5, 0, None, 1));
        assert_eq!(row.canary().map(|canary| canary.stage), Some(Stage::Passed));
        assert!(rig.engine.resume_job(id, "ops".into()).await.is_err(), "it has ended");
        let folded = fold(rig.engine.reader(), &job::Model::entity(id)).await.expect("no gaps");
        assert_eq!((&folded["status"], &folded["reason"]), (&json!("completed"), &json!(null)));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn the_rest_waits_until_the_canary_has_ended_and_a_halted_job_can_be_cancelled() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    failures(&rig, &mut controller, 2).await;
    let id = rig.engine.create_job(careful(1)).await.expect("accepted").job_id;
    let command = controller.take().await;
    controller.report(&command, "creating").await;
    let begun = || async {
        let canary = job(&rig, id).await.canary()?;
        canary.tries.iter().any(|one| one.outcome == "processing").then_some(canary)
    };
    assert_eq!(eventually("the canary is seen on its way", begun).await.stage, Stage::Waiting);
    assert_eq!((job(&rig, id).await.done, open(&rig).await), (1, 1));
    refuse(&controller, &command).await;
    until(&rig, id, "halted").await;
    let row = rig.engine.cancel_job(id, "ops".into()).await.expect("cancelled");
    assert_eq!((row.status.as_str(), row.done), ("cancelled", 1));
    rig.engine.stop().await;
}

#[tokio::test]
async fn a_message_that_is_parked_again_halts_the_job() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        for n in 0..2 {
            rig.client.publish(lane(), format!("no json {n}").into()).await.expect("published");
        }
        let parked = || async { (rig.dead_letters().await.len() == 2).then_some(()) };
        eventually("two letters", parked).await;
        let id = rig.engine.create_job(careful(1)).await.expect("accepted").job_id;
        let row = until(&rig, id, "halted").await;
        let reason = row.reason.clone().unwrap_or_default();
        assert!(reason.contains("undecodable"), "{reason}");
        assert_eq!((row.done, open(&rig).await), (1, 2));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_rate_spaces_out_what_is_done() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    failures(&rig, &mut controller, 3).await;
    let pace = Pace { canary: None, rate: Some(1) };
    let id = rig.engine.create_job(NewJob { pace, ..replay() }).await.expect("accepted").job_id;
    for done in 1..=2 {
        eventually("the next one", || async { Some(job(&rig, id).await).filter(|row| row.done == done) }).await;
        rig.clock.advance(Duration::from_millis(1_000));
    }
    let row = until(&rig, id, "completed").await;
    assert_eq!(row.done, 3);
    let mut times: Vec<i64> = rig.dead_letters().await.iter().map(|letter| letter.updated_ms).collect();
    times.sort_unstable();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "one a second: {times:?}");
    rig.engine.stop().await;
}
