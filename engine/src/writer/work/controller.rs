//! What happens to controllers: they speak, fall silent, or an operator decides about them.

use streams::wire::Heartbeat;
use uuid::Uuid;

use crate::store::job;

/// A heartbeat as it was heard.
#[derive(Debug, Clone)]
pub struct Beat {
    /// What it says.
    pub heartbeat: Heartbeat,
    /// It came on the subject that names its sender.
    pub own_subject: bool,
    /// Since when heartbeats have been listened to without a break, by the database's clock; `None` where that is not known yet.
    pub listening_since_ms: Option<i64>,
}

/// A controller fell silent, time passed for its breaker, or an operator gave that an order.
#[derive(Debug, Clone)]
pub struct ControllerEvent {
    /// The controller.
    pub controller_id: String,
    /// What happened.
    pub event: machine::controller::Event,
}

/// A controller sent its whole inventory.
#[derive(Debug, Clone)]
pub struct Synced {
    /// The controller.
    pub controller_id: String,
    /// The run that sent it.
    pub instance_id: Uuid,
}

/// What an operator decides about a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operated {
    /// A newcomer may serve its platform.
    Admit,
    /// Its host was reinstalled, or speaks another protocol: what tells it from others is forgotten.
    Reset,
    /// It is gone for good.
    Remove,
}

/// An operator decides about a controller.
#[derive(Debug, Clone)]
pub struct Operate {
    /// The controller.
    pub controller_id: String,
    /// What becomes of it.
    pub what: Operated,
    /// The operator's reason.
    pub why: String,
    /// The operator.
    pub by: String,
}

/// An operator takes a controller out of service.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// The controller.
    pub controller_id: String,
    /// The operator's reason.
    pub why: String,
    /// The operator.
    pub by: String,
    /// The job that moves its sessions.
    pub job: job::Model,
}

/// An operator puts a controller back into service.
#[derive(Debug, Clone)]
pub struct Reinstate {
    /// The controller.
    pub controller_id: String,
    /// The operator's reason.
    pub why: String,
    /// The operator.
    pub by: String,
}
