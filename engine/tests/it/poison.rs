//! A command that kills its controller again and again is told apart from one that waited while its controller was down.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Controller, Rig, eventually, lane};

/// A run of the controller says that it begins, and is never heard of again.
async fn begins(controller: &Controller, command: &Value) -> Uuid {
    let run = Uuid::now_v7();
    controller.publish(&lane(), controller.status(command, "creating", json!({ "instance_id": run }))).await;
    run
}

#[tokio::test]
async fn a_command_that_kills_run_after_run_is_parked_as_poison_and_its_letter_names_them() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let id = rig.create().await.session_id;
        let command = controller.take().await;
        let mut runs = Vec::new();
        for _ in 0..4 {
            runs.push(begins(&controller, &command).await);
        }
        let session = rig.until(id, "failed").await;
        assert!(session.reason.as_deref().is_some_and(|why| why.starts_with("poison")), "{session:?}");
        let letter = rig.dead_letter("poison").await;
        assert!(letter.error.contains("4 runs"), "{letter:?}");
        let history = letter.attempts.as_array().expect("a history").clone();
        let died: Vec<&str> = history.iter().filter_map(|one| one["error"]["message"].as_str()).collect();
        assert_eq!(died.len(), 3, "the fourth is the one that is not let go on: {history:?}");
        for (died, run) in died.iter().zip(&runs) {
            assert!(died.starts_with(&format!("run {run} of the controller began it")), "{died}");
        }
        assert!(history.iter().all(|one| one["error"]["code"] == "run_lost" && one["at_ms"].is_i64()), "{history:?}");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_command_that_waited_while_its_controller_was_down_is_blamed_for_nothing() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let id = rig.create().await.session_id;
        controller.takes_in_vain(6).await;
        let command = controller.take().await;
        begins(&controller, &command).await;
        rig.until(id, "creating").await;
        controller.report(&command, "running").await;
        rig.until(id, "running").await;
        let commands = rig.commands(id).await;
        assert_eq!(commands, [("session.create".to_owned(), "completed".to_owned())]);
        assert!(rig.dead_letters().await.is_empty());
        let session = rig.session(id).await;
        assert_eq!((session.failures, session.attempt), (json!([]), 0));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn an_attempt_that_lost_a_run_and_was_done_by_the_next_is_done() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    begins(&controller, &command).await;
    begins(&controller, &command).await;
    let noted = || async { Some(rig.session(id).await).filter(|row| row.failures != json!([])) };
    let row = eventually("the lost run is noted", noted).await;
    assert_eq!((row.failures[0]["error"]["code"].as_str(), row.status.as_str()), (Some("run_lost"), "creating"));
    controller.report(&command, "running").await;
    rig.until(id, "running").await;
    assert!(rig.dead_letters().await.is_empty());
    rig.engine.stop().await;
}
