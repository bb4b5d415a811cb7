//! The wire contract between the engine and its controllers, and all JetStream code.
//!
//! `subject`, `ids` and `wire` are the contract. The rest handles JetStream for all other crates; the README
//! lists the modules.

#[cfg(feature = "asyncapi")]
pub mod asyncapi;
pub mod cloudevents;
pub mod connect;
pub mod crash;
pub mod duration;
pub mod ids;
pub mod limits;
pub mod metrics;
pub mod moment;
pub mod nkey;
pub mod parking;
pub mod permissions;
pub mod publisher;
mod puller;
pub mod quantity;
pub mod reconnects;
pub mod reply;
mod secret;
pub mod server;
pub mod source;
pub mod subject;
pub mod tasks;
#[cfg(feature = "testing")]
pub mod testing;
pub mod topology;
pub mod trace;
pub mod usage;
pub mod version;
pub mod wire;
pub mod worker;

pub use async_nats;
