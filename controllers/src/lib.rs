//! Controllers: what stands between the engine and a platform.
//!
//! `driver` is what a platform has to offer, `runtime` is everything around it (heartbeats, commands, reports, traces) and
//! is the same for all, `drivers` are the platforms. Nothing here knows SQL: a controller knows NATS and its platform.

#[cfg(feature = "testing")]
pub mod conformance;
pub mod driver;
pub mod drivers;
pub mod runtime;

pub use driver::Driver;
pub use runtime::{Config, Error, run};
