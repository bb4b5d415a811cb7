//! The payloads of the contract. Fields may be added, never renamed.
//!
//! Unknown fields are ignored, so that an older peer understands a newer one.

mod app;
mod controller;
mod heading;
mod lines;
mod local;
mod node;
mod question;
mod session;
mod template;

pub use app::{AppInstall, AppState, AppStatus, AppUninstall, TemplateCreate, TemplateDelete};
pub use controller::{Capacity, ControllerHealth, Heartbeat, HeartbeatAnswer, Keeps, Span, Sync, World, WorldItem};
pub use lines::line_of;
pub use local::{FAILURES_MAX, GRACE_MAX, HomeUse, Liveness, RESTARTS_MAX, Restart, RestartPolicy, Stop};
pub use node::{NodeCommand, NodeState, NodeStatus};
pub use question::{Answer, HOME_SESSIONS_MAX, HOMES_MAX, Home, LOG_BYTES_MAX, LogEnd, Question, SCHEMA_BYTES_MAX};
pub use session::{Failure, Resources, Scope, SessionCommand, SessionCreate, SessionState, SessionStatus};
pub use template::{
    API_VERSION, EnvVar, Local, MAX_READINESS, Manifest, ManifestError, ManifestMetadata, Port, Readiness,
    TemplateSpec, Vnc, VolumeMount, Webapp,
};

/// A JSON object for metadata and other open-ended fields.
pub type Object = serde_json::Map<String, serde_json::Value>;
