//! The loops of an engine: what runs in the background for as long as it does, and what the engine is without each.
//!
//! The names are those that `/api/v1/admin/tasks`, `/metrics` and the doctor show.

use std::sync::Arc;

use sea_orm::DbBackend;
use streams::parking::Parker;
use streams::publisher::Publisher;
use streams::source::Source;
use streams::tasks::{Role, Supervisor, Task};
use streams::{topology, worker};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::courier::Courier;
use crate::feed::Feed;
use crate::parts::Parts;
use crate::{
    account, dead_letters, heartbeats, jobs, placement, platforms, projector, relay, retention, signal, timers, writer,
};

/// What the loops share.
pub(crate) struct Loops {
    pub(crate) parts: Parts,
    pub(crate) publisher: Publisher,
    pub(crate) courier: Courier,
    pub(crate) feed: Feed,
    pub(crate) outbox_limit: i64,
    pub(crate) retention: Option<retention::Settings>,
}

impl Loops {
    /// Starts every loop; they end when `cancel` fires.
    pub(crate) fn spawn(self, tasks: &Supervisor, cancel: &CancellationToken) {
        let Self { parts, publisher, courier, feed, outbox_limit, retention } = self;
        let parker = Parker::signing(publisher.clone(), parts.parking_key.clone());
        let (epoch, renewed) = (courier.epoch.clone(), courier.renewed.clone());
        let start = |name, role, make: Make| drop(tasks.spawn(name, role, cancel, make));

        start("streams", Role::Essential, each_run(move |task| courier.clone().run(task)));
        let relay = relay::Relay { parts: parts.clone(), publisher: publisher.clone(), epoch };
        start("relay", Role::Essential, each_run(move |task| relay.clone().run(task)));
        let heartbeats = heartbeats::Heartbeats { parts: parts.clone(), parker: parker.clone(), renewed };
        start("heartbeats", Role::Essential, each_run(move |task| heartbeats.clone().run(task)));
        let reports = (parts.clone(), parker.clone(), projector::Projector::new(parts.clone()));
        start("projector", Role::Essential, each_run(move |task| consume_reports(reports.clone(), task)));
        let letters = (parts.clone(), parker);
        start("dead-letters", Role::Supporting, each_run(move |task| consume_dead_letters(letters.clone(), task)));
        start("timers", Role::Supporting, with(&parts, timers::run));
        start("placement", Role::Supporting, with(&parts, placement::run));
        start("platforms", Role::Supporting, with(&parts, platforms::run));
        start("accounting", Role::Supporting, with(&parts, account::run));
        let runner = jobs::Runner { parts: parts.clone(), publisher, outbox_limit, me: Uuid::now_v7() };
        start("jobs", Role::Supporting, each_run(move |task| jobs::run(runner.clone(), task)));
        let wakes = parts.wakes.clone();
        start("feed", Role::Supporting, each_run(move |task| feed.clone().run(wakes.clone(), task)));
        if let Some(settings) = retention {
            let parts = parts.clone();
            let run = move |task| retention::run(parts.clone(), settings.clone(), task);
            start("retention", Role::Supporting, each_run(run));
        }
        if parts.database.backend == DbBackend::Postgres {
            start("signal-listen", Role::Supporting, with(&parts, signal::listen));
            start("signal-notify", Role::Supporting, with(&parts, signal::tell));
        }
    }
}

type Run = futures::future::BoxFuture<'static, ()>;
type Make = Box<dyn FnMut(Task) -> Run + Send>;

fn each_run<F: Future<Output = ()> + Send + 'static>(mut make: impl FnMut(Task) -> F + Send + 'static) -> Make {
    Box::new(move |task| Box::pin(make(task)))
}

fn with<F: Future<Output = ()> + Send + 'static>(parts: &Parts, run: fn(Parts, Task) -> F) -> Make {
    let parts = parts.clone();
    each_run(move |task| run(parts.clone(), task))
}

async fn consume_reports((parts, parker, projector): (Parts, Parker, Arc<projector::Projector>), task: Task) {
    let source = Source::engine(parts.link.clone(), topology::SS_REPORTS, parts.metrics.nats.clone());
    let cancel = task.cancel().clone();
    let apply = move |deliveries| {
        let (projector, task) = (projector.clone(), task.clone());
        async move { task.work(projector.apply(deliveries)).await }
    };
    worker::run_batches(source, writer::BATCH, apply, parker, cancel).await;
}

async fn consume_dead_letters((parts, parker): (Parts, Parker), task: Task) {
    let source = Source::engine(parts.link.clone(), topology::SS_DLQ, parts.metrics.nats.clone());
    let cancel = task.cancel().clone();
    let room = std::sync::Arc::<dead_letters::Room>::default();
    let record = move |deliveries| {
        let (parts, task, room) = (parts.clone(), task.clone(), room.clone());
        async move { task.work(dead_letters::record(&parts, &room, deliveries)).await }
    };
    worker::run_batches(source, 32, record, parker, cancel).await;
}
