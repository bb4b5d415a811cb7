//! The promises of the engine, against a real nats-server and real databases.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // in tests a panic is the answer

mod applications;
mod breaker;
mod core_lane;
mod courier;
mod doctor;
mod durable_lane;
mod events;
mod fate;
mod feed;
mod fold;
mod idleness;
mod jobs;
mod parked;
mod queue;
mod rig;
mod turns;
mod waiting;
mod worlds;
mod writer;
