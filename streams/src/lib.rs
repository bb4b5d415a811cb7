//! The wire: what is said between the engine and its controllers, and how JetStream carries it.
//!
//! `subject`, `ids` and `wire` are the contract. The rest knows JetStream so that no other room has to: see the README of
//! this folder.

pub mod duration;
pub mod ids;
pub mod quantity;
pub mod subject;
pub mod wire;
