//! Controllers: what stands between the engine and a platform.
//!
//! `driver` is what a platform has to offer, `runtime` is everything around it (heartbeats, commands, reports, traces) and
//! is the same for all, `registration` is how a platform's crate presents itself, `probe` is how drivers ask whether a program answers,
//! `promise` is the list of what every controller promises. The platforms are crates of their own, in
//! folders beside `src`. Nothing here knows SQL: a controller knows NATS and its platform.

#[cfg(feature = "testing")]
pub mod conformance;
pub mod driver;
pub mod probe;
pub mod promise;
pub mod registration;
pub mod runtime;
#[cfg(feature = "testing")]
pub mod testing;

pub use driver::Driver;
pub use registration::Registration;
pub use runtime::{Config, Error, run};
