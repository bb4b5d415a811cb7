//! The promises of the binary, tested on the binary itself.
#![allow(clippy::unwrap_used)] // in helpers of tests a panic is the answer

mod arguments;
mod children;
mod compose;
mod conformance;
mod contexts;
mod dev;
mod disk;
mod exits;
mod fake;
mod help;
mod idleness;
mod nats_config;
mod program;
mod readme;
mod scratchpad;
mod server;
mod terminal;
mod traces;
mod traffic;
mod verify;
