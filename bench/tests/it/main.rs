//! What real processes do when they are killed.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // in tests a panic is the answer

mod chaos;
mod courier;
mod crash;
mod hosts;
mod verify;
