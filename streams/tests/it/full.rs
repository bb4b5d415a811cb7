//! Without room nothing is lost: neither when a limit is lowered, nor when a message cannot be parked.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use async_nats::jetstream::stream::Config as StreamConfig;
use bytes::Bytes;
use futures::TryStreamExt;
use streams::connect::{self, Config, Link, Secret};
use streams::metrics::Metrics;
use streams::publisher::{Error as PublishError, Outgoing, Publisher};
use streams::source::Source;
use streams::testing::nats;
use streams::topology::{self, Error, Limits, SS_COMMANDS, SS_DLQ, SS_REPORTS, Settings};
use streams::worker::{self, Verdict};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::eventually;
use crate::probe::{Probe, commands, declare, empties, left, names, parker, publish, work};

const FEW: Limits = Limits { bytes: Limits::LEAST_BYTES, messages: Limits::LEAST_MESSAGES };

/// A server whose account has so little storage.
async fn stingy(max_file: &str) -> (TempDir, Child, Link) {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = folder.path().join("nats.conf");
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {:?} }}\naccounts {{ A {{ jetstream {{ max_file: {max_file} }}, \
         users: [{{ user: a, password: b }}] }} }}\n",
        folder.path().join("store")
    );
    std::fs::write(&file, text).unwrap();
    let binary = streams::server::find(None).await.unwrap().path;
    let mut server = Command::new(binary);
    let server = server.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let server = server.spawn().unwrap();
    let config = Config {
        user: Some("a".into()),
        password: Some(Secret::new("b")),
        ..Config::new(format!("nats://127.0.0.1:{port}"), "test")
    };
    let link = connect::connect_patiently(&config, &CancellationToken::new()).await.unwrap();
    (folder, server, link)
}

fn command(id: &str) -> Outgoing {
    Outgoing {
        subject: "streamspace.session.create.docker.host-1".into(),
        message_id: id.into(),
        payload: Bytes::from_static(b"x"),
        ..Outgoing::default()
    }
}

#[tokio::test]
async fn an_account_that_is_full_is_a_full_stream_and_takes_again_when_there_is_room() {
    let (_folder, _server, link) = stingy("8MB").await;
    let settings = Settings { commands: FEW, reports: FEW, dead_letters: FEW, ..Settings::default() };
    topology::declare(&link.jetstream, &settings, 1).await.unwrap();
    let other = StreamConfig { name: "OTHER".into(), subjects: vec!["other".into()], ..StreamConfig::default() };
    let other = link.jetstream.create_stream(other).await.unwrap();
    for size in [500_000, 10_000, 100, 0] {
        while link.jetstream.publish("other", vec![b'x'; size].into()).await.unwrap().await.is_ok() {}
    }
    let publisher = Publisher::new(link.clone(), Metrics::default());
    let refused = publisher.publish(command("a")).await;
    assert!(matches!(refused, Err(PublishError::Full(_))), "{refused:?}");
    other.purge().await.unwrap();
    assert!(!publisher.publish(command("a")).await.unwrap().duplicate, "what was refused was not stored");
}

#[tokio::test]
async fn streams_that_the_server_has_no_room_for_are_refused_with_the_setting() {
    let (_folder, _server, link) = stingy("5MB").await;
    let settings = Settings { commands: FEW, reports: FEW, dead_letters: FEW, ..Settings::default() };
    let error = topology::declare(&link.jetstream, &settings, 1).await.unwrap_err();
    assert!(matches!(error, Error::NoRoom { stream: SS_DLQ, bytes: 2_097_152, .. }), "{error}");
    assert!(error.to_string().contains("lower --dead-letters-max-bytes"), "{error}");
}

#[tokio::test]
async fn a_limit_below_what_a_stream_holds_drops_nothing_and_refuses_until_so_much_was_read() {
    let mut nats = nats().await;
    let link = nats.declared().await.unwrap();
    declare(&link).await;
    commands(&link, names(0..40)).await;
    publish(&link, "streamspace.dlq.x", names(0..40)).await;
    let settings = Settings { commands: FEW, dead_letters: FEW, ..Settings::default() };
    topology::declare(&link.jetstream, &settings, 1).await.unwrap();
    nats.restart().await.unwrap();
    eventually("the server is back", async || topology::inspect(&link.jetstream).await.is_ok()).await;
    assert_eq!((left(&link, SS_COMMANDS).await, left(&link, SS_DLQ).await), (40, 40));
    let publisher = Publisher::new(link.clone(), Metrics::default());
    assert!(matches!(publisher.publish(command("late")).await, Err(PublishError::Full(_))));
    let probe = Probe::new(|_, _| Verdict::Done);
    let (task, cancel) = work(&link, 4, &probe);
    empties(&link, SS_COMMANDS).await;
    publisher.publish(command("late")).await.unwrap();
    eventually("all are handled", async || probe.seen() == 41).await;
    cancel.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_parked_stays_in_its_stream_until_it_is() {
    let nats = nats().await;
    let link = nats.link().await.unwrap();
    let settings = Settings { dead_letters: FEW, ..Settings::default() };
    topology::declare(&link.jetstream, &settings, 1).await.unwrap();
    topology::declare_engine_consumers(&link.jetstream).await.unwrap();
    declare(&link).await;
    publish(&link, "streamspace.dlq.x", names(100..116)).await;
    commands(&link, names(0..3)).await;
    publish(&link, "streamspace.session.status", names(3..6)).await;
    let probe = Probe::new(|_, _| Verdict::Park("undecodable: as the test wants it".into()));
    let (task, cancel) = work(&link, 2, &probe);
    let source = Source::engine(link.clone(), SS_REPORTS, Metrics::default());
    let park = |all: Vec<_>| async move { all.iter().map(|_| Verdict::Park("undecodable".into())).collect() };
    let reports = tokio::spawn(worker::run_batches(source, 10, park, parker(&link), cancel.clone()));
    eventually("each was tried", async || probe.seen() == 3).await;
    eventually("and tried again", async || probe.seen.lock().unwrap().values().any(|times| *times > 2)).await;
    assert_eq!((left(&link, SS_COMMANDS).await, left(&link, SS_REPORTS).await), (3, 3));
    link.jetstream.get_stream(SS_DLQ).await.unwrap().purge().sequence(9).await.unwrap();
    empties(&link, SS_COMMANDS).await;
    empties(&link, SS_REPORTS).await;
    assert_eq!(left(&link, SS_DLQ).await, 8 + 6, "each once");
    cancel.cancel();
    task.await.unwrap();
    reports.await.unwrap();
}

#[tokio::test]
async fn room_for_dead_letters_is_made_of_what_was_recorded_and_of_nothing_else() {
    let nats = nats().await;
    let link = nats.link().await.unwrap();
    let settings = Settings { dead_letters: FEW, ..Settings::default() };
    topology::declare(&link.jetstream, &settings, 1).await.unwrap();
    topology::declare_engine_consumers(&link.jetstream).await.unwrap();
    publish(&link, "streamspace.dlq.x", names(0..11)).await;
    assert_eq!(topology::make_room(&link.jetstream).await.unwrap(), 0, "there is room");
    publish(&link, "streamspace.dlq.x", names(11..16)).await;
    assert_eq!(topology::make_room(&link.jetstream).await.unwrap(), 0, "nothing is recorded");
    let consumer = topology::bind_engine_consumer(&link.jetstream, SS_DLQ).await.unwrap().unwrap();
    let first = consumer.fetch().max_messages(6).messages().await.unwrap();
    first.try_for_each(|message| async move { message.double_ack().await }).await.unwrap();
    assert_eq!(topology::make_room(&link.jetstream).await.unwrap(), 3, "the older half of six");
    assert_eq!(topology::inspect(&link.jetstream).await.unwrap()[2].as_ref().unwrap().first_seq, 4);
    publish(&link, "streamspace.dlq.x", names(16..19)).await;
    let rest = consumer.fetch().max_messages(20).expires(Duration::from_secs(2)).messages().await.unwrap();
    assert_eq!(rest.try_collect::<Vec<_>>().await.unwrap().len(), 13, "all that was not recorded is still to be read");
}
