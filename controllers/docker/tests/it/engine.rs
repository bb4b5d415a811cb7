//! The engine is all that the driver remembers by.

use std::time::Duration;

use controllers::{Driver, driver::Goal};
use streams::wire::SessionState;
use uuid::Uuid;

use crate::peer::{Peer, desired, run, server};

#[tokio::test]
async fn another_controller_without_any_files_reads_the_same_and_remembers_the_newest_generation() {
    let Some(peer) = Peer::new().await else { return };
    let (runs, sleeps) = (Uuid::new_v4(), Uuid::new_v4());
    let first = peer.open().await;
    let url = run(&first, runs, server()).await.unwrap().url;
    run(&first, sleeps, server()).await.unwrap();
    first.ensure(&desired(sleeps, Goal::Hibernated, 7, None)).await.unwrap();
    let (world, all) = (first.world_id(), first.list().await.unwrap());
    drop(first);
    let second = peer.open().await;
    assert_eq!(second.world_id(), world);
    let mut listed = second.list().await.unwrap();
    let sorted = |mut all: Vec<controllers::driver::Observed>| {
        all.sort_by_key(|one| one.session_id);
        all.into_iter().map(|one| (one.session_id, one.state, one.generation, one.url)).collect::<Vec<_>>()
    };
    assert_eq!(sorted(listed.clone()), sorted(all));
    listed.retain(|one| one.session_id == runs);
    assert_eq!(listed[0].url, url);
    let stale = second.ensure(&desired(sleeps, Goal::Running, 6, Some(server()))).await.unwrap();
    assert_eq!((stale.state, stale.generation), (SessionState::Hibernated, 7));
    let marks = peer.traces(Some(sleeps)).await.into_iter().filter(|name| name.contains(".g")).collect::<Vec<_>>();
    assert_eq!(marks, [format!("{}.g7", peer.name(sleeps))], "older ones are removed");
    peer.clean().await;
}

#[tokio::test]
async fn a_controller_waits_for_an_engine_that_is_not_there_and_refuses_an_address_that_is_none() {
    let Some(peer) = Peer::new().await else { return };
    let host = |host: &str| driver_docker::Config { host: Some(host.into()), ..peer.config() };
    let waits = driver_docker::Docker::open(host("unix:///no/such/docker.sock"));
    assert!(tokio::time::timeout(Duration::from_millis(300), waits).await.is_err(), "it waits");
    for wrong in ["ssh://me@host", "nonsense"] {
        assert!(driver_docker::Docker::open(host(wrong)).await.is_err_and(|e| e.to_string().contains(wrong)));
    }
    peer.clean().await;
}
