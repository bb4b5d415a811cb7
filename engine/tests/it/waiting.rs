//! Sessions that cannot go anywhere yet wait where people can see them.

use std::time::Duration;

use engine::writer::Ask;

use crate::rig::{OWNER, Rig, eventually};

#[tokio::test]
async fn without_a_controller_a_session_waits_with_the_reason_and_is_placed_when_one_comes() {
    let rig = Rig::sqlite().await;
    let waiting = rig.create().await;
    assert_eq!((waiting.status.as_str(), waiting.controller_id), ("pending", None));
    assert!(waiting.reason.is_some_and(|why| why.contains("no controller of platform noop")));
    let mut controller = rig.controller().await;
    let command = controller.take().await;
    assert_eq!(command["session_id"], waiting.session_id.to_string());
    assert_eq!(rig.session(waiting.session_id).await.controller_id.as_deref(), Some(OWNER));
}

#[tokio::test]
async fn a_session_that_was_never_placed_is_deleted_without_a_command() {
    let rig = Rig::sqlite().await;
    let id = rig.create().await.session_id;
    let row = rig.engine.ask(id, Ask::Delete { force: false }).await.expect("accepted");
    assert_eq!(row.status, "deleted");
    assert_eq!(rig.commands(id).await, [("session.create".to_owned(), "completed".to_owned())]);
}

#[tokio::test]
async fn a_missed_heartbeat_makes_a_controller_unhealthy_and_moves_no_session() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let (id, _) = rig.running(&mut controller).await;
    rig.clock.advance(Duration::from_secs(3600));
    let silent = || async {
        let row = engine::queries::controller(rig.engine.reader(), OWNER).await.expect("readable")?;
        Some(row).filter(|row| row.status.as_deref() == Some("unhealthy"))
    };
    eventually("the controller is unhealthy", silent).await;
    let row = rig.session(id).await;
    assert_eq!((row.status.as_str(), row.controller_id.as_deref()), ("running", Some(OWNER)));
    let waiting = rig.create().await;
    assert!(waiting.reason.is_some_and(|why| why.contains("no heartbeat")));
}
