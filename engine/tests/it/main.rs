//! The promises of the engine, against a real nats-server and real databases.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // in tests a panic is the answer

mod applications;
mod breaker;
mod causes;
mod clock;
mod core_lane;
mod courier;
mod doctor;
mod durability;
mod durable_lane;
mod edits;
mod ends;
mod events;
mod fate;
mod feed;
mod flood;
mod fold;
mod full;
mod history;
mod idleness;
mod jobs;
mod lists;
mod parked;
mod placement;
mod plans;
mod poison;
mod proxy;
mod queue;
mod repeats;
mod replays;
mod retention;
mod revocation;
mod rig;
mod room;
mod skew;
mod strangers;
mod stuck;
mod tasks;
mod turns;
mod unfit;
mod unstorable;
mod verify;
mod waiting;
mod worlds;
mod writer;
