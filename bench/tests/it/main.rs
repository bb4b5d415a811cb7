//! The behaviour of real processes when they are killed.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // in tests a panic is the answer

mod chaos;
mod crash;
mod hosts;
mod jetstream;
mod verify;
