//! Tells when traces are lost: when a collector stops taking them, from time to time while it does not, and when it does again.
//!
//! The SDK drops what an exporter could not send. It is counted here and told of in few lines: a collector that is away for a day
//! costs a line an hour, and one that comes and goes no more than that.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::time::Instant;

/// The least time between two lines about one collector, to begin with, and the longest that doubling makes of it.
const PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));

/// An exporter whose failures are told.
#[derive(Debug)]
pub(super) struct Told<E> {
    exporter: E,
    /// For the log.
    endpoint: String,
    outage: Mutex<Outage>,
}

/// What is known of a collector's failures.
#[derive(Debug)]
struct Outage {
    /// Spans that were lost and not told of yet.
    lost: u64,
    failing: bool,
    /// Whether a line was written about the failures that go on, or have just ended.
    known: bool,
    /// When the last line was written.
    told: Option<Instant>,
    /// How long none is written after it.
    pause: Duration,
}

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// So many spans were lost since the last line.
    Lost(u64),
    /// It works again, and so many were lost since the last line.
    Over(u64),
}

impl Outage {
    const fn new() -> Self {
        Self { lost: 0, failing: false, known: false, told: None, pause: PAUSES.0 }
    }

    fn failed(&mut self, spans: u64, now: Instant) -> Option<News> {
        self.lost += spans;
        self.failing = true;
        if self.told.is_some_and(|told| now < told + self.pause) {
            return None;
        }
        if self.told.is_some() {
            self.pause = (self.pause * 2).min(PAUSES.1);
        }
        self.known = true;
        self.told = Some(now);
        Some(News::Lost(std::mem::take(&mut self.lost)))
    }

    fn succeeded(&mut self, now: Instant) -> Option<News> {
        let quiet = self.told.is_none_or(|told| now >= told + self.pause);
        if !self.failing {
            if quiet {
                (self.told, self.pause) = (None, PAUSES.0); // well for as long as it was silent about: as if it had never failed
            }
            return None;
        }
        self.failing = false;
        if !std::mem::take(&mut self.known) {
            return None; // nobody was told that it began; what was lost is told of next time
        }
        self.told = Some(now);
        Some(News::Over(std::mem::take(&mut self.lost)))
    }
}

impl<E> Told<E> {
    pub(super) const fn new(exporter: E, endpoint: String) -> Self {
        Self { exporter, endpoint, outage: Mutex::new(Outage::new()) }
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, spans: u64, result: &OTelSdkResult) {
        let news = match result {
            Ok(()) => self.outage().succeeded(Instant::now()),
            Err(_) => self.outage().failed(spans, Instant::now()),
        };
        match (news, result) {
            (Some(News::Lost(spans)), Err(error)) => {
                tracing::warn!(otlp.endpoint = self.endpoint, spans, %error, "traces are lost: the collector does not take them");
            }
            (Some(News::Over(spans)), _) => {
                tracing::info!(
                    otlp.endpoint = self.endpoint,
                    spans,
                    "the collector takes traces again; these spans were lost"
                );
            }
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        self.note(spans, &result);
        Ok(()) // it is told; the SDK would write a line about each batch
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let spans = std::mem::take(&mut self.outage().lost);
        if spans > 0 {
            tracing::warn!(otlp.endpoint = self.endpoint, spans, "traces are lost: the collector did not take them");
        }
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_at_its_beginning_now_and_then_and_at_its_end() {
        let (begun, mut outage) = (Instant::now(), Outage::new());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(outage.succeeded(at(0)), None);
        assert_eq!(outage.failed(10, at(5)), Some(News::Lost(10)));
        let lines = (2..=17_280).filter(|batch| outage.failed(1, at(batch * 5)).is_some()).count();
        assert!((20..=32).contains(&lines), "a day of batches, one every 5 s, makes {lines} lines");
        assert!(matches!(outage.succeeded(at(86_405)), Some(News::Over(lost)) if lost > 0));
        assert_eq!(outage.succeeded(at(86_410)), None);
        assert_eq!(outage.failed(1, at(200_000)), Some(News::Lost(1)), "another day, another outage");
    }

    #[test]
    fn a_collector_that_comes_and_goes_is_no_flood_of_lines() {
        let (begun, mut outage) = (Instant::now(), Outage::new());
        let lines = (0..1_000_u64).filter(|batch| {
            let now = begun + Duration::from_secs(batch * 5);
            if batch % 2 == 0 { outage.failed(1, now) } else { outage.succeeded(now) }.is_some()
        });
        assert!(lines.count() < 40);
    }
}
