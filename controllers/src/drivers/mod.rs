//! The platforms, one driver each.

pub mod local;
pub mod noop;
