//! A handler that reports its deliveries, and a server with commands for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use streams::connect::Link;
use streams::ids::{ControllerId, Platform};
use streams::metrics::Metrics;
use streams::parking::Parker;
use streams::publisher::{Outgoing, Publisher};
use streams::source::Source;
use streams::testing::{Nats, nats};
use streams::topology;
use streams::worker::{self, Delivery, Handler, Held, Verdict};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::eventually;

type Act = dyn Fn(&Delivery, usize) -> Verdict + Send + Sync;

/// Counts deliveries, and lets each test decide what happens.
pub(crate) struct Probe {
    act: Box<Act>,
    pub(crate) gate: Semaphore,
    pub(crate) seen: Mutex<BTreeMap<String, usize>>,
    running: AtomicUsize,
    /// Drops its share of the worker's limits as soon as it has a message.
    lets_go: bool,
    pub(crate) most: AtomicUsize,
}

impl Probe {
    pub(crate) fn new(act: impl Fn(&Delivery, usize) -> Verdict + Send + Sync + 'static) -> Arc<Self> {
        Self::gated(Semaphore::MAX_PERMITS, act)
    }

    pub(crate) fn gated(open: usize, act: impl Fn(&Delivery, usize) -> Verdict + Send + Sync + 'static) -> Arc<Self> {
        let (seen, running, most) = (Mutex::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { act: Box::new(act), gate: Semaphore::new(open), seen, running, lets_go: false, most })
    }

    /// The same for a handler that drops its share before it is done.
    pub(crate) fn letting_go(self: Arc<Self>) -> Arc<Self> {
        Arc::new(Self { lets_go: true, ..Arc::into_inner(self).unwrap() })
    }

    pub(crate) fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[async_trait]
impl Handler for Probe {
    async fn handle(&self, delivery: &Delivery, held: Held) -> Verdict {
        let _held = Some(held).filter(|_| !self.lets_go);
        let times = {
            let mut seen = self.seen.lock().unwrap();
            let times = seen.entry(String::from_utf8_lossy(&delivery.payload).into_owned()).or_default();
            *times += 1;
            *times
        };
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.running.fetch_sub(1, Ordering::SeqCst);
        (self.act)(delivery, times)
    }
}

pub(crate) fn one() -> (Platform, ControllerId) {
    (Platform::try_new("docker").unwrap(), ControllerId::try_new("host-1").unwrap())
}

pub(crate) async fn declare(link: &Link) {
    let (platform, id) = one();
    topology::declare_controller_consumer(&link.jetstream, &platform, &id).await.unwrap();
}

pub(crate) async fn publish(link: &Link, subject: &str, payloads: impl IntoIterator<Item = String>) {
    let outgoing = |payload: String| Outgoing {
        subject: subject.into(),
        message_id: payload.clone(),
        payload: Bytes::from(payload),
        ..Outgoing::default()
    };
    let messages = payloads.into_iter().map(outgoing).collect();
    for result in Publisher::new(link.clone(), Metrics::default()).publish_all(messages).await {
        result.unwrap();
    }
}

pub(crate) async fn commands(link: &Link, payloads: impl IntoIterator<Item = String>) {
    publish(link, "streamspace.session.create.docker.host-1", payloads).await;
}

pub(crate) fn names(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|i| format!("m{i:04}"))
}

pub(crate) fn parker(link: &Link) -> Parker {
    Parker::new(Publisher::new(link.clone(), Metrics::default()))
}

pub(crate) fn work(link: &Link, slots: usize, probe: &Arc<Probe>) -> (JoinHandle<()>, CancellationToken) {
    let (platform, id) = one();
    let source = Source::controller(link.clone(), platform, id, Metrics::default());
    let cancel = CancellationToken::new();
    let task = tokio::spawn(worker::run(source, slots, probe.clone(), parker(link), cancel.clone()));
    (task, cancel)
}

pub(crate) async fn left(link: &Link, stream: &str) -> u64 {
    let states = topology::inspect(&link.jetstream).await.unwrap_or_default();
    states.into_iter().flatten().find(|state| state.name == stream).map_or(u64::MAX, |state| state.messages)
}

pub(crate) async fn empties(link: &Link, stream: &str) {
    eventually("the stream is worked off", async || left(link, stream).await == 0).await;
}

pub(crate) async fn start() -> (Nats, Link) {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    declare(&link).await;
    (nats, link)
}
