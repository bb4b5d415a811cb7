//! What a controller has to be told.

use std::time::Duration;

use streams::{
    connect,
    ids::{ControllerId, Platform},
    metrics::Metrics,
    wire::Object,
};

/// How a controller runs. The names of the environment (`CONTROLLER_ID`, `CONTROLLER_PLATFORM`, `HEARTBEAT_INTERVAL`, ...)
/// are read by whoever starts it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who it is, in subjects and in the consumer's name.
    pub controller_id: ControllerId,
    /// The platform that it answers for.
    pub platform: Platform,
    /// Where NATS is.
    pub nats: connect::Config,
    /// Between two heartbeats; each is up to a tenth early or late.
    pub heartbeat_interval: Duration,
    /// Starts that are made at the same time. One that only waits for readiness does not count, nor does what stops or deletes:
    /// each of these has four times as many places, and 64 at least.
    pub slots: usize,
    /// Tells the resources of two installations on one platform apart.
    pub installation: String,
    /// After this an attempt is given up and reported as a retryable `timeout`.
    pub command_timeout: Duration,
    /// How long a stop waits for what was started.
    pub stop_patience: Duration,
    /// For placement.
    pub labels: Object,
    /// Where messages are counted.
    pub metrics: Metrics,
}

impl Config {
    /// The defaults, for one controller of one platform.
    #[must_use]
    pub fn new(controller_id: ControllerId, platform: Platform, nats: connect::Config) -> Self {
        Self {
            controller_id,
            platform,
            nats,
            heartbeat_interval: Duration::from_secs(10),
            slots: 16,
            installation: "streamspace".into(),
            command_timeout: Duration::from_secs(5 * 60),
            stop_patience: Duration::from_secs(20),
            labels: Object::new(),
            metrics: Metrics::default(),
        }
    }
}
