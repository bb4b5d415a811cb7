//! The promises of the machines: a table of every pair of state and event, and properties over random histories.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // in tests a panic is the answer

mod application;
mod breaker;
mod diagram;
mod histories;
mod idleness;
mod model;
mod room;
mod table;
mod world;
