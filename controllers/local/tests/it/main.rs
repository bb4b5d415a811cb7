//! What the driver promises, against real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod conformance;
mod disk;
mod homes;
mod lives;
mod local;
mod logs;
mod own_users;
mod runtime;
mod world;
