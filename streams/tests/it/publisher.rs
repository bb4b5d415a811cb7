//! A message is in its stream when the publisher says so, and every other outcome has a type.

use std::time::Duration;

use bytes::Bytes;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use streams::metrics::Metrics;
use streams::publisher::{Error, Outgoing, Publisher};
use streams::testing::nats;
use streams::topology::{self, SS_REPORTS};

use crate::eventually;

fn report(id: &str) -> Outgoing {
    Outgoing {
        subject: "streamspace.session.status.docker.host-1".into(),
        message_id: id.into(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        headers: vec![("X-Note".into(), "one\r\ntwo".into())],
        payload: Bytes::from_static(b"{}"),
    }
}

#[tokio::test]
async fn results_are_in_the_order_of_the_messages() {
    let nats = nats().await;
    let publisher = Publisher::new(nats.declared().await.unwrap(), Metrics::default());
    let mut messages = (0..500).map(|i| report(&format!("id-{i}"))).collect::<Vec<_>>();
    messages[250].subject = "streamspace.nobody.listens".into();
    let results = publisher.publish_all(messages).await;
    assert_eq!(results.len(), 500);
    assert!(matches!(results[250], Err(Error::NoStream { .. })), "{:?}", results[250]);
    let sequences = results.iter().flatten().map(|acked| acked.sequence).collect::<Vec<_>>();
    assert_eq!(sequences, (1..=499).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_flood_from_several_sides_is_acknowledged_to_the_last() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let publisher = Publisher::new(link.clone(), Metrics::default());
    let flood = |side: usize| (0..8000).map(|i| report(&format!("{side}-{i}"))).collect::<Vec<_>>();
    let sides = futures::future::join_all((0..4).map(|side| publisher.publish_all(flood(side)))).await;
    assert!(sides.iter().flatten().all(Result::is_ok));
    assert_eq!(topology::inspect(&link.jetstream).await.unwrap()[1].as_ref().unwrap().messages, 32_000);
}

#[tokio::test]
async fn the_same_id_is_stored_once_and_said_to_be() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let publisher = Publisher::new(link.clone(), Metrics::default());
    let (first, again) = (publisher.publish(report("a")).await.unwrap(), publisher.publish(report("a")).await.unwrap());
    assert_eq!((first.duplicate, again.duplicate, again.sequence), (false, true, first.sequence));
    assert_eq!(first.stream, SS_REPORTS);
    assert_eq!(topology::inspect(&link.jetstream).await.unwrap()[1].as_ref().unwrap().messages, 1);
}

#[tokio::test]
async fn headers_carry_trace_id_and_cloud_event() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let acked = Publisher::new(link.clone(), Metrics::default()).publish(report("a")).await.unwrap();
    let stored = link.jetstream.get_stream(SS_REPORTS).await.unwrap().get_raw_message(acked.sequence).await.unwrap();
    let header = |name: &str| stored.headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(header("Nats-Msg-Id"), "a");
    assert_eq!((header("ce-type"), header("ce-id")), ("dev.streamspace.session.status.v1".into(), "a".into()));
    assert_eq!(header("X-Note"), "one  two", "a header never breaks the frame");
}

#[tokio::test]
async fn without_a_connection_nothing_is_sent() {
    let mut nats = nats().await;
    let link = nats.declared().await.unwrap();
    let publisher = Publisher::new(link.clone(), Metrics::default());
    nats.down().await.unwrap();
    eventually("the loss is noticed", async || !link.is_connected()).await;
    assert!(matches!(publisher.publish(report("a")).await, Err(Error::Disconnected)));
    nats.up().await.unwrap();
    eventually("the connection is back", async || link.is_connected()).await;
    let acked = publisher.publish(report("b")).await.unwrap();
    assert_eq!(acked.sequence, 1, "the first was not sent behind our back");
}

/// A signal reaches one thread after the other; waits until none of them runs any more.
async fn stopped(pid: u32) {
    let running = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
        stats.filter(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))).count()
    };
    while running() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_makes_the_outcome_ambiguous() {
    let mut nats = nats().await;
    let link = nats.declared().await.unwrap();
    let publisher = Publisher::new(link, Metrics::default()).with_timeout(Duration::from_millis(300));
    let pid = rustix::process::Pid::from_raw(i32::try_from(nats.server().pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    stopped(nats.server().pid()).await;
    let result = publisher.publish(report("a")).await;
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert!(matches!(result, Err(Error::Ambiguous)), "{result:?}");
    let acked = publisher.clone().with_timeout(Duration::from_secs(10)).publish(report("a")).await.unwrap();
    assert_eq!(acked.sequence, 1, "the same id may be sent again without being stored twice");
}

#[tokio::test]
async fn what_is_published_is_counted_without_naming_controllers() {
    let nats = nats().await;
    let mut registry = Registry::default();
    let publisher = Publisher::new(nats.declared().await.unwrap(), Metrics::register(&mut registry));
    publisher.publish(report("a")).await.unwrap();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(text.contains("nats_msgs_published_total{subject=\"streamspace.session.status\"} 1"), "{text}");
}
