//! What `/metrics` tells of the feed.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::watcher::Cut;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The feed's metrics; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(super) watchers: Gauge,
    pub(super) rows: Counter,
    held_back: Gauge<f64, AtomicU64>,
    cut: Family<Reason, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("streamspace_feed_watchers", "Watchers of the live feed", metrics.watchers.clone());
        let help = "Rows of the log that the live feed has read for its watchers";
        registry.register("streamspace_feed_rows", help, metrics.rows.clone());
        let help = "Seconds that the oldest row waits for transactions before it to end; 0 while nobody watches";
        registry.register("streamspace_feed_held_back_seconds", help, metrics.held_back.clone());
        let help = "Watchers that were sent away with a position to go on from, by reason";
        registry.register("streamspace_feed_cut", help, metrics.cut.clone());
        metrics
    }

    pub(super) fn held_back(&self, since_ms: Option<i64>) {
        let ms = since_ms.map_or(0, |since| (chrono::Utc::now().timestamp_millis() - since).max(0));
        self.held_back.set(ms as f64 / 1000.0);
    }

    pub(super) fn cut(&self, cut: Cut) {
        self.cut.get_or_create(&Reason { reason: cut.as_str() }).inc();
    }
}
