//! What replays would do is known before, from the production machine, and the few that go first stop the rest where they fail.

use engine::jobs::{Kind, NewJob, What};
use engine::queries::LetterFilter;
use engine::store::job;
use engine::writer::{Ask, Outlooks};
use serde::Deserialize;
use uuid::Uuid;

use crate::rig::{Controller, Rig, eventually};

fn replay() -> NewJob {
    let filter = LetterFilter { status: Some("open".into()), ..LetterFilter::default() };
    NewJob { kind: Kind::Replay, what: What::Letters(filter), force: false, dry_run: false, created_by: "ops".into() }
}

/// A session whose command was given up.
async fn failed(rig: &Rig, controller: &mut Controller) -> Uuid {
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    controller.fail(&command, false).await;
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
