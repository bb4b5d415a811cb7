//! What happens behind the driver's back is told at once, and nothing is lost or doubled by it.

use bollard::query_parameters::{KillContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use controllers::{
    Driver,
    driver::{Goal, Observed},
};
use streams::wire::SessionState;
use uuid::Uuid;

use crate::peer::{Peer, SERVE, crash_and_restart_engine, desired, run, seen, server, template, told};

fn failed(observed: &Observed) -> bool {
    observed.state == SessionState::Failed
}

#[tokio::test]
async fn a_container_that_is_killed_or_removed_by_somebody_else_is_told_at_once() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, killed, removed) = (peer.open().await, Uuid::new_v4(), Uuid::new_v4());
    run(&driver, killed, server()).await.unwrap();
    let kill = KillContainerOptionsBuilder::default().signal("KILL").build();
    peer.api.kill_container(&peer.name(killed), Some(kill)).await.unwrap();
    told(&driver, killed).await;
    let failure = driver.observe(killed).await.unwrap().unwrap().failure.unwrap();
    assert!(failure.code == "process_exited" && failure.message.contains("137") && failure.retryable, "{failure:?}");
    let again = driver.ensure(&desired(killed, Goal::Running, 2, Some(server()))).await.unwrap();
    assert_eq!(again.state, SessionState::Running);

    run(&driver, removed, server()).await.unwrap();
    peer.exec(removed, "echo kept > /cache/file").await;
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    peer.api.remove_container(&peer.name(removed), Some(force)).await.unwrap();
    told(&driver, removed).await;
    assert_eq!(driver.observe(removed).await.unwrap().unwrap().failure.unwrap().code, "vanished");
    driver.ensure(&desired(removed, Goal::Running, 2, Some(server()))).await.unwrap();
    assert_eq!(peer.exec(removed, "cat /cache/file").await, "kept\n", "its volumes were not its container's");
    peer.clean().await;
}

#[tokio::test]
async fn what_uses_more_memory_than_it_may_is_named_as_that() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, id) = (peer.open().await, Uuid::new_v4());
    let eats = "httpd -p 8080 -h /www; while [ ! -e /tmp/go ]; do sleep 0.1; done; exec tail /dev/zero";
    run(&driver, id, template(eats, "{}")).await.unwrap();
    peer.exec(id, "touch /tmp/go").await;
    let observed = seen(&driver, id, "failed", failed).await;
    assert_eq!(observed.failure.unwrap().code, "out_of_memory");
    peer.clean().await;
}

#[tokio::test]
async fn a_container_that_ends_is_started_again_within_its_templates_bound() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, id) = (peer.open().await, Uuid::new_v4());
    run(&driver, id, template(SERVE, r#"{"restart": {"policy": "on-failure", "max": 1}}"#)).await.unwrap();
    let kill = || KillContainerOptionsBuilder::default().signal("KILL").build();
    peer.api.kill_container(&peer.name(id), Some(kill())).await.unwrap();
    let said = |observed: &Observed| observed.message.as_deref().is_some_and(|m| m.contains("started again, 1 of 1"));
    let again = seen(&driver, id, "started again", |o| said(o) && o.state == SessionState::Running).await;
    assert_eq!(again.generation, 1);
    peer.api.kill_container(&peer.name(id), Some(kill())).await.unwrap();
    let given_up = |o: &Observed| failed(o) && o.message.as_deref().is_some_and(|m| m.contains("after 1 restarts"));
    seen(&driver, id, "given up", given_up).await;
    peer.clean().await;
}

#[tokio::test]
async fn an_engine_that_crashes_and_comes_back_loses_and_doubles_nothing() {
    let Some(peer) = Peer::alone().await else { return };
    let (driver, running, asleep) = (peer.open().await, Uuid::new_v4(), Uuid::new_v4());
    let world = driver.world_id();
    run(&driver, running, server()).await.unwrap();
    run(&driver, asleep, server()).await.unwrap();
    driver.ensure(&desired(asleep, Goal::Hibernated, 2, None)).await.unwrap();
    peer.exec(running, "echo kept > /cache/file").await;
    tokio::task::spawn_blocking(crash_and_restart_engine).await.unwrap();
    told(&driver, running).await;
    assert_eq!(driver.observe(running).await.unwrap().unwrap().state, SessionState::Failed);
    let listed = driver.list().await.unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let again = driver.ensure(&desired(running, Goal::Running, 3, Some(server()))).await.unwrap();
    assert_eq!((again.state, again.generation), (SessionState::Running, 3));
    assert_eq!(peer.exec(running, "cat /cache/file").await, "kept\n");
    assert_eq!(driver.observe(asleep).await.unwrap().unwrap().state, SessionState::Hibernated);
    assert_eq!(peer.open().await.world_id(), world);
    peer.clean().await;
}
