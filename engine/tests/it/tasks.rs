//! Every background loop panics in the midst of its work, and each story ends as if nothing had happened.

use engine::store::session;
use engine::writer::Ask;
use streams::tasks::State;

use crate::rig::{Rig, eventually};

/// Where in a round the panic comes: before anything, after an await or several, and when all is done and nobody knows it yet.
const POLLS: [usize; 5] = [0, 1, 2, 5, usize::MAX - 1];

async fn every_loop_may_panic(rig: Rig) {
    let mut controller = rig.controller().await;
    let names: Vec<&str> = rig.engine.tasks().status().iter().map(|task| task.name).collect();
    for polls in POLLS {
        for name in &names {
            assert!(rig.engine.tasks().panic_in(name, polls), "{name} is supervised");
        }
        let (id, _) = rig.running(&mut controller).await;
        rig.engine.ask(id, Ask::Hibernate).await.expect("a panic of the writer is no caller's business");
        let command = controller.take().await;
        controller.report(&command, "hibernated").await;
        let row = rig.until(id, "hibernated").await;
        let folded = engine::fold::fold(rig.engine.reader(), &session::Model::entity(id)).await.expect("without gaps");
        assert_eq!(folded, row.hard().expect("readable"));
    }
    let panicked = |name: &'static str| {
        let tasks = rig.engine.tasks().status();
        tasks.into_iter().any(|task| task.name == name && task.restarts > 0)
    };
    for name in ["writer", "relay", "projector"] {
        assert!(panicked(name), "{name} worked, so it panicked");
    }
    eventually("every loop runs again", || async {
        rig.engine.tasks().status().iter().all(|task| task.state == State::Running).then_some(())
    })
    .await;
    let unaccounted = engine::account::unaccounted(rig.engine.reader()).await.expect("readable");
    assert_eq!(unaccounted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_loop_may_panic_in_mid_work_on_sqlite() {
    every_loop_may_panic(Rig::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_loop_may_panic_in_mid_work_on_postgres() {
    every_loop_may_panic(Rig::postgres().await).await;
}
