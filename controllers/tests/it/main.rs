//! What controllers promise, against real processes and a real NATS server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod conformance;
mod disk;
mod homes;
mod lanes;
mod lives;
mod local;
mod logs;
mod own_users;
mod runtime;
mod world;
