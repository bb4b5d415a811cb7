//! Counts JetStream messages where they pass: publisher and worker share one [`Metrics`].

use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::subject::{DEAD_LETTER_PREFIX, Report, Verb, action, family};

/// Labelled by family: the recipient is cut off, so that the number of series stays bounded.
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
    redelivered: Family<ByConsumer, Counter>,
    unparked: Counter,
    again: Mutex<HashMap<(String, u64), (Redelivered, Instant)>>,
}

/// A message that was recently delivered more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redelivered {
    /// Its consumer; for the engine's consumers the name of the stream.
    pub consumer: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// Its subject, possibly cut.
    pub subject: String,
    /// Number of deliveries.
    pub delivered: i64,
}

/// Number of redelivered messages that are remembered individually.
const AGAIN: usize = 256;
/// How long a redelivered message is remembered: longer than any pause between two deliveries.
const RECENT: Duration = Duration::from_secs(60);
/// Bytes of the subject that are kept.
const LONGEST_SUBJECT: usize = 200;

/// Counters of messages; clones share them. [`Metrics::default`] is not registered anywhere.
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
        let redelivered = families.redelivered.clone();
        registry.register("nats_msgs_redelivered", "Messages that were delivered before, by consumer", redelivered);
        let help = "Times that a message could not be parked and stayed in its stream";
        registry.register("nats_msgs_unparked", help, families.unparked.clone());
        Self(Arc::new(families))
    }

    /// Counts a received message.
    pub fn received(&self, subject: &str) {
        self.0.received.get_or_create(&BySubject { subject: label(subject).into() }).inc();
    }

    /// Counts a message that its stream has acknowledged.
    pub fn published(&self, subject: &str) {
        self.0.published.get_or_create(&BySubject { subject: label(subject).into() }).inc();
    }

    /// Counts a redelivered message.
    pub fn redelivered(&self, consumer: &str, sequence: u64, subject: &str, delivered: i64) {
        self.0.redelivered.get_or_create(&ByConsumer { consumer: consumer.into() }).inc();
        let mut again = self.0.again.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (consumer.to_owned(), sequence);
        if again.len() >= AGAIN && !again.contains_key(&key) {
            again.retain(|_, (_, at)| at.elapsed() < RECENT);
            if again.len() >= AGAIN {
                return;
            }
        }
        let subject = crate::parking::shortened(subject, LONGEST_SUBJECT);
        again.insert(key, (Redelivered { consumer: consumer.into(), sequence, subject, delivered }, Instant::now()));
    }

    /// Messages that were redelivered recently, the most frequent first; at most 256.
    #[must_use]
    pub fn redelivered_now(&self) -> Vec<Redelivered> {
        let mut again = self.0.again.lock().unwrap_or_else(PoisonError::into_inner);
        again.retain(|_, (_, at)| at.elapsed() < RECENT);
        let mut all: Vec<Redelivered> = again.values().map(|(message, _)| message.clone()).collect();
        all.sort_unstable_by(|a, b| (b.delivered, a.sequence).cmp(&(a.delivered, b.sequence)));
        all
    }

    /// Forgets a message that has been settled.
    pub(crate) fn done(&self, consumer: &str, sequence: u64) {
        let mut again = self.0.again.lock().unwrap_or_else(PoisonError::into_inner);
        again.remove(&(consumer.to_owned(), sequence));
    }

    /// Counts a message that could not be parked.
    pub fn unparked(&self) {
        self.0.unparked.inc();
    }

    /// Records the number of messages that a consumer has not delivered yet.
    pub fn pending(&self, consumer: &str, messages: u64) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.0.pending.get_or_create(&ByConsumer { consumer: consumer.into() }).set(messages);
    }
}

/// The family of a subject of the contract. Other subjects share one label, because anyone can publish on them
/// and would create new series.
fn label(subject: &str) -> &str {
    let name = action(subject);
    if subject.starts_with(DEAD_LETTER_PREFIX) {
        "streamspace.dlq"
    } else if subject.starts_with("streamspace.")
        && (Verb::from_name(name).is_some() || Report::from_name(name).is_some())
    {
        family(subject)
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_subjects_of_the_contract_are_labels() {
        assert_eq!(label("streamspace.session.create.docker.host-1"), "streamspace.session.create");
        assert_eq!(label("streamspace.session.status"), "streamspace.session.status");
        assert_eq!(label("streamspace.dlq.streamspace.session.create.docker.host-1"), "streamspace.dlq");
        assert_eq!(label("streamspace.dlq.made-up-1"), "streamspace.dlq");
        assert_eq!(label("streamspace.made.up"), "other");
        assert_eq!(label("made.session.create"), "other");
    }
}
