//! The decisions of StreamSpace, and nothing else.
//!
//! A machine takes what is (a row's facts) and what happened (an event), and returns what is to be (the new facts) and what
//! is to be done ([`command::Effect`]). There is no async, SQL, clock or randomness in this crate: time, fresh ids and jitter
//! come in through [`Context`]. So every promise about decisions can be tested as a table, as a property, or exhaustively.

pub mod admission;
pub mod application;
pub mod breaker;
pub mod budget;
pub mod command;
pub mod controller;
pub mod debt;
pub mod facts;
pub mod identity;
pub mod placement;
pub mod retry;
pub mod room;
pub mod session;
pub mod turn;

use uuid::Uuid;

/// What a decision may know besides the facts and the event.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The database's clock, in milliseconds since the epoch.
    pub now_ms: i64,
    /// Identity for a command, should the decision issue one.
    pub fresh_id: Uuid,
    /// Uniform in [0, 1), for back-off.
    pub jitter: f64,
    /// Whether the owner may get work: healthy, and its breaker closed or waiting for a probe.
    pub owner_ready: bool,
    /// When the owner's budget of retries has a place for the next one; now, or before, where it may go at once.
    pub retry_ms: i64,
    /// The room that the owner has; `None` where nobody counted, and then nothing that needs a place is started.
    pub room: Option<room::Room>,
    /// How long a start may take to become ready beyond what every command may take, in milliseconds; from the template.
    pub readiness_ms: i64,
    /// How the owner is reached now, where that is known: its commands follow it.
    pub owner_lane: Option<Lane>,
}

/// Which way a controller is reached; see the contract's "two lanes".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Through JetStream, acknowledged, with generations echoed.
    Durable,
    /// Plain core NATS: at least once by sending again after silence.
    Core,
}

impl Lane {
    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Core => "core",
        }
    }

    /// The lane of a spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "durable" => Some(Self::Durable),
            "core" => Some(Self::Core),
            _ => None,
        }
    }
}
