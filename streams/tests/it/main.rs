//! The promises of this crate, tested against real nats-servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed assumption is a failed test

mod asyncapi;
mod batches;
mod cloudevents;
mod connection;
mod contract;
#[cfg(feature = "crash-points")]
mod crash;
mod disk;
mod full;
mod fuzz;
mod limits;
mod parking;
mod points;
mod probe;
mod publisher;
mod reply;
mod server;
mod subjects;
mod tasks;
mod topology;
mod tracing_context;
mod usage;
mod worker;

use std::time::Duration;

/// Polls until the condition holds; fails the test if it does not in time.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
