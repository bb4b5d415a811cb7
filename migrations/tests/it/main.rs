//! The promises of the schema, on a real SQLite file and a real PostgreSQL server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod contract;
mod opening;
mod steps;
