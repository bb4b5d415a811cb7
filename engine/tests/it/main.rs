//! The promises of the engine, against a real nats-server and real databases.

mod core_lane;
mod courier;
mod durable_lane;
mod fold;
mod parked;
mod rig;
mod waiting;
mod writer;
