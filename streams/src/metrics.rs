//! What goes over JetStream, counted where it goes: publisher and worker hold one [`Metrics`].

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::subject::family;

/// By family: who it is for is cut off, so that the number of labels stays bounded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySubject {
    subject: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByConsumer {
    consumer: String,
}

#[derive(Debug, Default)]
struct Families {
    received: Family<BySubject, Counter>,
    published: Family<BySubject, Counter>,
    pending: Family<ByConsumer, Gauge<i64, AtomicI64>>,
}

/// Counters of messages. Clones count together. [`Metrics::default`] counts where nobody looks.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Families>);

impl Metrics {
    /// Registers `nats_msgs_received_total`, `nats_msgs_published_total` and `nats_pending_msgs`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let families = Families::default();
        registry.register("nats_msgs_received", "Messages taken from JetStream", families.received.clone());
        registry.register("nats_msgs_published", "Messages acknowledged by JetStream", families.published.clone());
        registry.register("nats_pending_msgs", "Messages not yet delivered to a consumer", families.pending.clone());
        Self(Arc::new(families))
    }

    /// One message came.
    pub fn received(&self, subject: &str) {
        self.0.received.get_or_create(&BySubject { subject: family(subject).into() }).inc();
    }

    /// One message was acknowledged by its stream.
    pub fn published(&self, subject: &str) {
        self.0.published.get_or_create(&BySubject { subject: family(subject).into() }).inc();
    }

    /// What a consumer has still to deliver.
    pub fn pending(&self, consumer: &str, messages: u64) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.0.pending.get_or_create(&ByConsumer { consumer: consumer.into() }).set(messages);
    }
}
