//! What becomes of a controller by the answers to its heartbeats.

use std::sync::Arc;
use std::time::Duration;

use controllers::{Config, Error};
use driver_noop::{Knobs, Noop};
use futures::StreamExt;
use serde_json::json;
use streams::ids::{ControllerId, Platform};
use streams::subject;
use streams::testing::{Nats, nats};
use streams::topology;
use streams::wire::Heartbeat;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use controllers::testing::PATIENCE;

/// A host whose consumer exists, so that it works as soon as it may.
struct Host {
    nats: Nats,
    client: async_nats::Client,
    platform: Platform,
    id: ControllerId,
}

impl Host {
    async fn new() -> Self {
        let nats = nats().await;
        let link = nats.declared().await.unwrap();
        let (platform, id) = (Platform::try_new("test").unwrap(), ControllerId::try_new("host-1").unwrap());
        topology::declare_controller_consumer(&link.jetstream, &platform, &id).await.unwrap();
        Self { nats, client: link.client, platform, id }
    }

    /// The subject of its own heartbeats.
    fn own(&self) -> String {
        subject::heartbeat(&self.platform, &self.id)
    }

    fn start(&self) -> (JoinHandle<Result<(), Error>>, CancellationToken) {
        let config = Config::new(self.id.clone(), self.platform.clone(), self.nats.config("controller"));
        let config = Config { heartbeat_interval: Duration::from_millis(100), ..config };
        let (driver, cancel) = (Arc::new(Noop::open(Knobs::default()).unwrap()), CancellationToken::new());
        (tokio::spawn(controllers::run(config, driver, cancel.clone())), cancel)
    }
}

/// Answers each heartbeat on a subject, and tells of it.
async fn engine_on(
    client: &async_nats::Client,
    subject: String,
    accepted: bool,
) -> tokio::sync::mpsc::UnboundedReceiver<Heartbeat> {
    answering(client, subject, json!({ "accepted": accepted, "reason": "not here" })).await
}

/// The same with a given answer.
async fn answering(
    client: &async_nats::Client,
    subject: String,
    answer: serde_json::Value,
) -> tokio::sync::mpsc::UnboundedReceiver<Heartbeat> {
    let (heard, hears) = tokio::sync::mpsc::unbounded_channel();
    let mut beats = client.subscribe(subject).await.unwrap();
    client.flush().await.unwrap();
    let client = client.clone();
    tokio::spawn(async move {
        while let Some(beat) = beats.next().await {
            client.publish(beat.reply.unwrap(), answer.to_string().into()).await.unwrap();
            if heard.send(serde_json::from_slice(&beat.payload).unwrap()).is_err() {
                return; // this engine has ended, and its subscription ends with it
            }
        }
    });
    hears
}

#[tokio::test]
async fn a_controller_beats_on_its_own_subject_and_falls_back_to_the_shared_one_where_nobody_responds() {
    let host = Host::new().await;
    let own = host.own();
    assert_eq!(own, "streamspace.controller.heartbeat.test.host-1");
    let mut old = engine_on(&host.client, subject::HEARTBEAT.into(), true).await;
    let (running, cancel) = host.start();
    let beat = timeout(PATIENCE, old.recv()).await.unwrap().unwrap();
    assert_eq!(beat.controller_id, "host-1");

    let mut new = engine_on(&host.client, own, true).await;
    for _ in 0..3 {
        timeout(PATIENCE, new.recv()).await.unwrap().unwrap();
    }
    while old.try_recv().is_ok() {}
    timeout(PATIENCE, new.recv()).await.unwrap().unwrap();
    assert!(old.try_recv().is_err(), "nothing more on the subject that all share");

    drop(new);
    timeout(PATIENCE, old.recv()).await.unwrap().unwrap();
    cancel.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_on_the_shared_subject_counts_only_where_nobody_takes_the_beat_on_the_own_one() {
    let host = Host::new().await;
    let mut old = engine_on(&host.client, subject::HEARTBEAT.into(), false).await;
    let own = host.own();
    let (mut running, cancel) = host.start();
    timeout(PATIENCE, old.recv()).await.unwrap().unwrap();
    let mut new = engine_on(&host.client, own, true).await;
    for _ in 0..3 {
        timeout(PATIENCE, new.recv()).await.unwrap().unwrap();
    }
    assert!(timeout(Duration::from_millis(50), &mut running).await.is_err(), "it was not sent away");
    cancel.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_on_the_shared_subject_does_not_end_a_controller_that_was_taken_on_its_own() {
    let host = Host::new().await;
    let mut own = engine_on(&host.client, host.own(), true).await;
    let mut shared = engine_on(&host.client, subject::HEARTBEAT.into(), false).await;
    let (mut running, cancel) = host.start();
    timeout(PATIENCE, own.recv()).await.unwrap().unwrap();
    drop(own); // as when NATS restarts, and the engine's subscription to the shared subject is the first that is back
    for _ in 0..3 {
        timeout(PATIENCE, shared.recv()).await.unwrap().unwrap();
    }
    assert!(timeout(Duration::from_millis(50), &mut running).await.is_err(), "it works on");
    cancel.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_on_the_shared_subject_ends_nobody_whose_own_subject_is_listened_to_and_not_answered() {
    let host = Host::new().await;
    let mut slow = host.client.subscribe(host.own()).await.unwrap(); // an engine that waits for its database
    let mut shared = engine_on(&host.client, subject::HEARTBEAT.into(), true).await;
    let (mut running, cancel) = host.start();
    timeout(PATIENCE, shared.recv()).await.unwrap().unwrap();
    drop(shared); // it works by now
    let mut shared = engine_on(&host.client, subject::HEARTBEAT.into(), false).await;
    timeout(PATIENCE, shared.recv()).await.unwrap().unwrap();
    for _ in 0..2 {
        timeout(PATIENCE, slow.next()).await.unwrap().unwrap();
    }
    timeout(PATIENCE, shared.recv()).await.unwrap().unwrap();
    assert!(timeout(Duration::from_millis(50), &mut running).await.is_err(), "it works on");
    cancel.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_on_the_shared_subject_decides_nothing_if_its_engine_listens_on_the_own_subject_too() {
    let host = Host::new().await;
    // an engine that stops between two beats: nobody is subscribed to the controller's own subject
    let mut accepting = engine_on(&host.client, subject::HEARTBEAT.into(), true).await;
    let own = host.own();
    let (mut running, _cancel) = host.start();
    timeout(PATIENCE, accepting.recv()).await.unwrap().unwrap();
    drop(accepting);
    let refusal = json!({ "accepted": false, "reason": "not here", "own_subjects": true });
    let mut stopping = answering(&host.client, subject::HEARTBEAT.into(), refusal).await;
    for _ in 0..3 {
        timeout(PATIENCE, stopping.recv()).await.unwrap().unwrap();
    }
    assert!(timeout(Duration::from_millis(50), &mut running).await.is_err(), "it works on");
    let mut started = engine_on(&host.client, own, false).await;
    timeout(PATIENCE, started.recv()).await.unwrap().unwrap();
    let ended = timeout(PATIENCE, running).await.unwrap().unwrap();
    assert!(matches!(ended, Err(controllers::Error::Replaced(_))), "{ended:?}");
}

#[tokio::test]
async fn a_newcomer_whom_a_slow_engine_let_begin_waits_when_it_is_refused_after_all() {
    let host = Host::new().await;
    let own = host.own();
    let mut slow = host.client.subscribe("streamspace.controller.heartbeat.>").await.unwrap();
    let mut slow_shared = host.client.subscribe(subject::HEARTBEAT).await.unwrap();
    let (mut running, cancel) = host.start();
    for _ in 0..2 {
        timeout(PATIENCE, slow.next()).await.unwrap().unwrap(); // the second is sent by one that has begun
        timeout(PATIENCE, slow_shared.next()).await.unwrap().unwrap();
    }
    let mut refusing = engine_on(&host.client, own.clone(), false).await;
    for _ in 0..3 {
        timeout(PATIENCE, refusing.recv()).await.unwrap().unwrap();
    }
    assert!(timeout(Duration::from_millis(50), &mut running).await.is_err(), "it waits");
    cancel.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}
