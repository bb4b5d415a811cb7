//! What the driver promises, against a real Docker engine of its own: `scripts/with-docker.sh cargo test -p driver-docker`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod behind;
mod bounds;
mod conformance;
mod engine;
mod homes;
mod images;
mod lives;
mod peer;
