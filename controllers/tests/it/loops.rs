//! Each loop of a controller panics in the middle of its work, and the story ends as if nothing had happened.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use controllers::Config;
use controllers::driver::Driver;
use controllers::testing::{PATIENCE, Stage, command};
use driver_noop::{Knobs, Noop};
use serde_json::{Value, json};
use streams::subject::{self, Verb};
use streams::tasks::{State, Supervisor};
use streams::topology;
use streams::wire::{Heartbeat, SessionState, World};
use tokio::time::timeout;
use uuid::Uuid;

use crate::runtime::create;

const LOOPS: [&str; 4] = ["heartbeat", "inventory", "questions", "changes"];
/// Where in a round the panic comes: before anything, after one await or several, and when all is done.
const POLLS: [usize; 4] = [0, 1, 3, usize::MAX - 1];

/// A controller at work, with the supervisor of its loops.
async fn at_work(stage: &mut Stage, driver: Arc<Noop>) -> Supervisor {
    let tasks = Supervisor::default();
    let config = Config { heartbeat_interval: Duration::from_millis(50), tasks: tasks.clone(), ..stage.config() };
    stage.start(config, driver);
    stage.next::<Heartbeat>(subject::HEARTBEAT).await;
    topology::declare_controller_consumer(&stage.jetstream, &stage.platform, &stage.id).await.unwrap();
    stage.next::<World>("streamspace.controller.world.test.host-1").await;
    tasks
}

/// What is asked is answered, if need be when it is asked again: a question is the caller's to repeat.
async fn ask(stage: &Stage) -> Value {
    let (subject, question) = (subject::question(&stage.platform, &stage.id), json!({ "ask": "homes" }).to_string());
    loop {
        let asked = timeout(Duration::from_millis(300), stage.client.request(subject.clone(), question.clone().into()));
        if let Ok(Ok(answer)) = asked.await {
            return serde_json::from_slice(&answer.payload).unwrap();
        }
    }
}

async fn story(stage: &mut Stage, driver: &Noop, tasks: &Supervisor, arm: impl Fn(&Supervisor)) {
    let session = Uuid::new_v4();
    stage.send(Verb::SessionCreate, &serde_json::to_value(create(session, 1)).unwrap()).await;
    assert_eq!(stage.status().await.status, SessionState::Running);
    arm(tasks);
    driver.look_used(session, Some(7), None);
    let changed = stage.status().await;
    assert_eq!((changed.session_id, changed.connections), (session, Some(7)), "the change is reported");
    let sync = Uuid::now_v7();
    let asked = json!({ "event_id": sync, "timestamp": Utc::now() });
    stage.client.publish(subject::sync(&stage.platform, &stage.id), asked.to_string().into()).await.unwrap();
    while stage.next::<World>("streamspace.controller.world.test.host-1").await.sync_id != sync {}
    for _ in 0..2 {
        // the second one also after a panic that came when the first was answered
        assert_eq!(timeout(PATIENCE, ask(stage)).await.unwrap()["error"]["code"], "not_supported");
    }
    stage.next::<Heartbeat>(subject::HEARTBEAT).await;
    stage.send(Verb::SessionDelete, &command(session, 2)).await;
    while stage.status().await.status != SessionState::Deleted {}
}

#[tokio::test(flavor = "multi_thread")]
async fn every_loop_of_a_controller_may_panic_in_mid_work_and_the_story_ends_as_usual() {
    let (mut stage, driver) = (Stage::new().await, Arc::new(Noop::open(Knobs::default()).unwrap()));
    let tasks = at_work(&mut stage, driver.clone()).await;
    for name in LOOPS {
        let of_this = || tasks.status().into_iter().find(|task| task.name == name).unwrap();
        for (before, polls) in POLLS.into_iter().enumerate() {
            let arm = |tasks: &Supervisor| assert!(tasks.panic_in(name, polls), "{name} is supervised");
            timeout(PATIENCE, story(&mut stage, &driver, &tasks, arm))
                .await
                .unwrap_or_else(|_| panic!("{name} {polls}"));
            controllers::testing::until(&format!("{name} panicked: {polls}"), || of_this().restarts as usize > before)
                .await;
        }
        controllers::testing::until("it runs again", || of_this().state == State::Running).await;
    }
    assert!(driver.list().await.unwrap().is_empty());
    stage.stop().await;
    assert!(tasks.status().iter().all(|task| task.state == State::Stopped), "{:?}", tasks.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_stops_in_time_while_its_loops_are_being_restarted() {
    let (mut stage, driver) = (Stage::new().await, Arc::new(Noop::open(Knobs::default()).unwrap()));
    let tasks = at_work(&mut stage, driver.clone()).await;
    for name in LOOPS {
        tasks.panic_in(name, 0);
    }
    driver.look_used(Uuid::new_v4(), Some(1), None);
    stage.stop().await; // within the patience of the stage
}
