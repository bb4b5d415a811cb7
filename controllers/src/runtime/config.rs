//! The configuration of a controller.

use std::time::Duration;

use streams::{
    connect,
    ids::{ControllerId, Platform},
    metrics::Metrics,
    tasks::Supervisor,
    wire::Object,
};

/// How a controller runs. The program that starts it reads the environment (`CONTROLLER_ID`, `CONTROLLER_PLATFORM`,
/// `HEARTBEAT_INTERVAL`, ...).
#[derive(Debug, Clone)]
pub struct Config {
    /// Its id, used in subjects and in the consumer's name.
    pub controller_id: ControllerId,
    /// The platform that it serves.
    pub platform: Platform,
    /// The connection to NATS.
    pub nats: connect::Config,
    /// Time between two heartbeats; each is up to a tenth early or late.
    pub heartbeat_interval: Duration,
    /// Number of starts at the same time. A start that only waits for readiness does not count, nor do stops and deletes:
    /// each of these has four times as many slots, and at least 64.
    pub slots: usize,
    /// Distinguishes the resources of two installations on one platform.
    pub installation: String,
    /// Time limit of an attempt; then it is reported as a retryable `timeout`.
    pub command_timeout: Duration,
    /// Time that a stop of the controller waits for commands under way.
    pub stop_patience: Duration,
    /// Labels for placement.
    pub labels: Object,
    /// The JSON Schema of the platform's block in templates; without it the engine cannot validate them in advance.
    pub template_schema: Option<serde_json::Value>,
    /// Counters of messages.
    pub metrics: Metrics,
    /// Supervises the loops of the controller; its status shows them.
    pub tasks: Supervisor,
}

impl Config {
    /// The defaults for one controller of one platform.
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
            template_schema: None,
            metrics: Metrics::default(),
            tasks: Supervisor::default(),
        }
    }
}
