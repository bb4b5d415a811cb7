//! Rows in SQL: what the tables hold, and the statements that read and write many rows at once.
//!
//! Only the writer changes anything here, and `announcement` its cache; everything else reads. The tables of nouns are in [`crate::entities`].

pub mod announcement;
pub mod bulk;
pub mod canary;
pub mod command;
pub mod event;
pub mod idempotency_key;
pub mod secret;
pub(crate) mod snapshot;
pub mod stream_epoch;
pub mod text;

pub use crate::entities::{application, cleanup, controller, dead_letter, job, session, template};
