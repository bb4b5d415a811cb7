//! What `/metrics` tells of the engine. Names are the contract's.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use streams::subject::action;
use streams::topology::StreamState;

use crate::writer::Outcome;

/// The label of whatever is not known by name, so that nobody on the bus can make new series.
pub(crate) const OTHER: &str = "other";

/// What became of a heartbeat.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Beat {
    /// It waits to be written.
    Received,
    /// A newer one of the same controller came before an older one was written.
    Replaced,
    /// Too many of unknown controllers, or unreadable ones, waited.
    Dropped,
    /// It cannot be read, and becomes a dead letter.
    Unreadable,
    /// It was read and not accepted.
    Refused,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Heard {
    outcome: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Type {
    r#type: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Controller {
    controller: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ControllerOnPlatform {
    controller: String,
    platform: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Stream {
    stream: &'static str,
}

/// The engine's metrics and the registry that they, and those of `streams`, live in.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    /// Those of the JetStream parts.
    pub nats: streams::metrics::Metrics,
    pub(crate) feed: crate::feed::Metrics,
    pub(crate) tasks: streams::tasks::Metrics,
    published: Family<Type, Counter>,
    processed: Family<Controller, Counter>,
    latency: Histogram,
    health: Family<ControllerOnPlatform, Gauge>,
    /// The labels that were given to controllers, to take away those of who is gone.
    labelled: Arc<Mutex<HashSet<ControllerOnPlatform>>>,
    heartbeats: Family<Heard, Counter>,
    unaccounted: Gauge,
    waiting: Gauge,
    reconnects: Gauge,
    passed_over: Gauge,
    fullness: Family<Stream, Gauge<f64, AtomicU64>>,
    batch_size: Histogram,
    batch_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let nats = streams::metrics::Metrics::register(&mut registry);
        let feed = crate::feed::Metrics::register(&mut registry);
        let tasks = streams::tasks::Metrics::register(&mut registry);
        let metrics = Self {
            registry: Arc::new(Mutex::new(Registry::default())),
            nats,
            feed,
            tasks,
            published: Family::default(),
            processed: Family::default(),
            latency: Histogram::new(exponential_buckets(0.001, 2.0, 18)),
            health: Family::default(),
            labelled: Arc::default(),
            heartbeats: Family::default(),
            unaccounted: Gauge::default(),
            waiting: Gauge::default(),
            reconnects: Gauge::default(),
            passed_over: Gauge::default(),
            fullness: Family::default(),
            batch_size: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            batch_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 12)),
        };
        metrics.register(&mut registry);
        Self { registry: Arc::new(Mutex::new(registry)), ..metrics }
    }
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        let published = self.published.clone();
        registry.register("streamspace_events_published", "Commands that were published, by type", published);
        let processed = self.processed.clone();
        registry.register("streamspace_events_processed", "Reports that were applied, by controller", processed);
        let help = "Seconds from the acceptance of a command to its end";
        registry.register("streamspace_event_latency_seconds", help, self.latency.clone());
        let help = "1 where a controller takes work, else 0";
        registry.register("streamspace_controller_health", help, self.health.clone());
        let help = "Heartbeats that came to this engine, by what became of them";
        registry.register("streamspace_heartbeats", help, self.heartbeats.clone());
        let help = "Commands that are neither ended nor visibly on their way; anything but 0 is a defect";
        registry.register("streamspace_events_unaccounted", help, self.unaccounted.clone());
        let help = "Commands that are accepted and not yet handed to NATS";
        registry.register("streamspace_outbox_waiting", help, self.waiting.clone());
        let help = "Times that the connection to NATS was made again since the start";
        registry.register("nats_reconnects", help, self.reconnects.clone());
        let help = "Pieces of the engine's own work that fail and are passed over for a while";
        registry.register("streamspace_work_passed_over", help, self.passed_over.clone());
        let help = "How full a stream is, from 0 to 1, by bytes or messages, whichever is fuller";
        registry.register("streamspace_stream_fullness", help, self.fullness.clone());
        let help = "Pieces of work in one transaction";
        registry.register("streamspace_writer_batch_size", help, self.batch_size.clone());
        let help = "Seconds that one transaction took";
        registry.register("streamspace_writer_batch_seconds", help, self.batch_seconds.clone());
    }

    pub(crate) fn published(&self, subject: &str) {
        self.published.get_or_create(&Type { r#type: action(subject).to_owned() }).inc();
    }

    pub(crate) fn batch(&self, size: usize, took: Duration) {
        self.batch_size.observe(size as f64);
        self.batch_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn committed(&self, outcome: &Outcome) {
        for (controller, count) in &outcome.processed {
            self.processed.get_or_create(&Controller { controller: controller.clone() }).inc_by(*count);
        }
        for (controller, platform, ready) in &outcome.health {
            let labels = ControllerOnPlatform { controller: controller.clone(), platform: platform.clone() };
            self.health.get_or_create(&labels).set(i64::from(*ready));
            self.labelled().insert(labels);
        }
        outcome.latencies.iter().for_each(|seconds| self.latency.observe(*seconds));
    }

    fn labelled(&self) -> MutexGuard<'_, HashSet<ControllerOnPlatform>> {
        self.labelled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away the series of controllers that have no row any more.
    pub(crate) fn keep_controllers(&self, known: &HashSet<&str>) {
        self.labelled().retain(|gone| {
            let kept = known.contains(gone.controller.as_str());
            if !kept {
                self.health.remove(gone);
                self.processed.remove(&Controller { controller: gone.controller.clone() });
            }
            kept
        });
    }

    /// One heartbeat, or what became of it later.
    pub(crate) fn beat(&self, outcome: Beat) {
        let outcome = match outcome {
            Beat::Received => "received",
            Beat::Replaced => "replaced",
            Beat::Dropped => "dropped",
            Beat::Unreadable => "unreadable",
            Beat::Refused => "refused",
        };
        self.heartbeats.get_or_create(&Heard { outcome }).inc();
    }

    /// Reports of a controller that this engine applied.
    pub(crate) fn processed_by(&self, controller: &str) -> u64 {
        self.processed.get_or_create(&Controller { controller: controller.to_owned() }).get()
    }

    pub(crate) fn waiting(&self, commands: i64) {
        self.waiting.set(commands);
    }

    pub(crate) fn repeats(&self, reconnects: u64, passed_over: usize) {
        self.reconnects.set(i64::try_from(reconnects).unwrap_or(i64::MAX));
        self.passed_over.set(i64::try_from(passed_over).unwrap_or(i64::MAX));
    }

    pub(crate) fn fullness(&self, stream: &StreamState) {
        self.fullness.get_or_create(&Stream { stream: stream.name }).set(stream.fullness());
    }

    pub(crate) fn unaccounted(&self, count: i64) {
        self.unaccounted.set(count);
    }

    /// All of it in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry); // writing to a String does not fail
        text
    }
}
