//! What controllers promise, against real processes and a real NATS server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod conformance;
mod local;
mod runtime;
mod world;
