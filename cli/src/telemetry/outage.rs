//! Reports lost traces: when a collector stops accepting them, from time to time while that lasts, and when it
//! accepts them again.
//!
//! The SDK drops spans that an exporter could not send. They are counted here and reported with back-off: a
//! collector that is away for a day costs a line an hour, and a flapping one no more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::time::Instant;

/// Minimum pause between two lines, and the maximum that doubling leads to.
const PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));

/// An exporter whose failures are reported.
#[derive(Debug)]
pub(super) struct OutageReporter<E> {
    exporter: E,
    /// Address of the collector, for the log.
    endpoint: String,
    outage: Mutex<Outage>,
}

/// The state of a collector's failures.
#[derive(Debug)]
struct Outage {
    /// Spans lost and not reported yet.
    lost: u64,
    failing: bool,
    /// Whether the present failures, or those that just ended, have been reported.
    known: bool,
    /// Time of the last line.
    reported_at: Option<Instant>,
    /// Minimum pause after the last line.
    pause: Duration,
}

/// A line to write.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// Number of spans lost since the last line.
    Lost(u64),
    /// The collector works again; the number of spans lost since the last line.
    Over(u64),
}

impl Outage {
    const fn new() -> Self {
        Self { lost: 0, failing: false, known: false, reported_at: None, pause: PAUSES.0 }
    }

    fn failed(&mut self, spans: u64, now: Instant) -> Option<News> {
        self.lost += spans;
        self.failing = true;
        if self.reported_at.is_some_and(|at| now < at + self.pause) {
            return None;
        }
        if self.reported_at.is_some() {
            self.pause = (self.pause * 2).min(PAUSES.1);
        }
        self.known = true;
        self.reported_at = Some(now);
        Some(News::Lost(std::mem::take(&mut self.lost)))
    }

    fn succeeded(&mut self, now: Instant) -> Option<News> {
        let quiet = self.reported_at.is_none_or(|at| now >= at + self.pause);
        if !self.failing {
            if quiet {
                (self.reported_at, self.pause) = (None, PAUSES.0); // healthy for a whole pause: start over
            }
            return None;
        }
        self.failing = false;
        if !std::mem::take(&mut self.known) {
            return None; // its beginning was not reported either; the lost spans are counted into the next report
        }
        self.reported_at = Some(now);
        Some(News::Over(std::mem::take(&mut self.lost)))
    }
}

impl<E> OutageReporter<E> {
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
                tracing::warn!(otlp.endpoint = self.endpoint, spans, %error, "traces are lost: the collector does not accept them");
            }
            (Some(News::Over(spans)), _) => {
                tracing::info!(
                    otlp.endpoint = self.endpoint,
                    spans,
                    "the collector accepts traces again; these spans were lost"
                );
            }
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for OutageReporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        self.note(spans, &result);
        Ok(()) // already reported; the SDK would log each batch
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let spans = std::mem::take(&mut self.outage().lost);
        if spans > 0 {
            tracing::warn!(otlp.endpoint = self.endpoint, spans, "traces are lost: the collector did not accept them");
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
