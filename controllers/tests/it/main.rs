//! What the runtime promises, against a real NATS server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod heartbeat;
mod lanes;
mod loops;
mod runtime;
