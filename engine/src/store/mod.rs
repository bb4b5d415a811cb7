//! The rows: what the tables hold, and the statements that read and write many of them at once.
//!
//! Only the writer changes anything here; everybody else reads.

pub mod application;
pub mod bulk;
pub mod canary;
pub mod command;
pub(crate) mod commanded;
pub mod controller;
pub mod dead_letter;
pub mod debt;
pub mod event;
pub mod idempotency_key;
pub mod job;
pub mod secret;
pub mod session;
pub(crate) mod snapshot;
pub mod stream_epoch;
pub mod template;
pub mod text;
