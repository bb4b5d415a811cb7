//! The pieces of work that the writer takes.

use machine::session::{Event, Observation};
use serde_json::Value;
use streams::wire::{Heartbeat, Manifest, Object, Resources};
use uuid::Uuid;

use super::application::ApplicationWork;
use crate::store::{application, controller, dead_letter, session, template};

/// A session as it was asked for, checked.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Identity, chosen by the accepting side so that a lost answer can be looked up.
    pub session_id: Uuid,
    /// Identity of its create command.
    pub event_id: Uuid,
    /// Who it is for.
    pub user_id: String,
    /// The template's name.
    pub template_id: String,
    /// Where it is to run.
    pub platform: String,
    /// What it may use, as it was asked; the template's defaults fill the gaps.
    pub resources: Resources,
    /// Whether the home outlives hibernation.
    pub persistent_home: bool,
    /// Seconds.
    pub idle_timeout_s: Option<i64>,
    /// Seconds.
    pub max_duration_s: Option<i64>,
    /// For filters.
    pub tags: Vec<String>,
    /// What the caller attached.
    pub metadata: Object,
}

/// What people ask of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Sleep.
    Hibernate,
    /// Awake.
    Wake,
    /// Be gone.
    Delete {
        /// Do not wait for a dead owner.
        force: bool,
    },
    /// It is being used.
    Activity,
    /// Its dead letter is replayed.
    Again,
}

/// A report that came in.
#[derive(Debug, Clone)]
pub struct ReportIn {
    /// Its identity.
    pub event_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// The subject that it came on.
    pub subject: String,
    /// As it came.
    pub payload: Value,
    /// What it says.
    pub observation: Observation,
    /// Soft: what the session uses.
    pub resource_usage: Option<Value>,
}

/// A template to be written.
#[derive(Debug, Clone)]
pub enum TemplateWrite {
    /// Create it, or replace it where it differs.
    Put {
        /// As it came, checked.
        manifest: Box<Manifest>,
        /// Shipped with this binary.
        built_in: bool,
    },
    /// Delete it; sessions keep what they were created with.
    Delete {
        /// Which.
        name: String,
    },
}

/// A command that JetStream acknowledged.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Which.
    pub event_id: Uuid,
    /// The attempt that was published; a later one is not marked by it.
    pub attempt: i32,
    /// The stream's epoch; `None` in the core lane.
    pub epoch: Option<i64>,
    /// The sequence in the stream.
    pub seq: Option<i64>,
}

/// Something to be parked.
#[derive(Debug, Clone)]
pub struct NewDeadLetter {
    /// Deterministic identity of the cause, so that parking twice is parking once.
    pub source: String,
    /// The event, where it could be read.
    pub event_id: Option<Uuid>,
    /// Where it was going.
    pub subject: String,
    /// A stable word: `undecodable`, `illegal`, `retries_exhausted`, `permanent`, `poison`, ...
    pub reason: String,
    /// The last error.
    pub error: String,
    /// The exact bytes.
    pub payload: Vec<u8>,
    /// As name and value pairs.
    pub headers: Value,
    /// The error history.
    pub attempts: Value,
    /// What it was about, as in `event_log.entity`.
    pub entity: Option<String>,
    /// Who.
    pub controller_id: Option<String>,
    /// Where.
    pub platform: Option<String>,
    /// Whether the dead-letter stream has it already.
    pub copied: bool,
}

/// One piece of work.
#[derive(Debug, Clone)]
pub enum Work {
    /// A new session.
    Create(Box<NewSession>),
    /// Something asked of a session.
    Ask(Uuid, Ask),
    /// A report of a session's owner.
    Report(Box<ReportIn>),
    /// Look again for a place.
    Place(Uuid),
    /// Time, a ready owner, or a lost stream.
    Happened(Uuid, Event),
    /// An application, or what a controller says of a template.
    Application(Box<ApplicationWork>),
    /// A template.
    Template(TemplateWrite),
    /// A controller spoke.
    Heartbeat(Box<Heartbeat>),
    /// A controller fell silent, or time passed for its breaker.
    Controller(String, machine::controller::Event),
    /// A controller told all that exists in its world.
    Synced {
        /// Who.
        controller_id: String,
        /// The run that told it.
        instance_id: Uuid,
    },
    /// Commands that were published.
    Published(Vec<Mark>),
    /// Something to park.
    Park(Box<NewDeadLetter>),
    /// Dead letters whose public copy is in the stream.
    Copied(Vec<Uuid>),
    /// An operator dealt with a dead letter.
    Settle {
        /// Which.
        id: Uuid,
        /// `replayed` or `discarded`.
        status: &'static str,
        /// Why, or what came of it.
        note: Option<String>,
    },
    /// A stream's incarnation is known and dealt with.
    Epoch {
        /// The stream.
        name: &'static str,
        /// Its epoch.
        epoch: i64,
        /// When the server made it.
        created_at: String,
        /// Its last sequence.
        last_seq: i64,
    },
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Done {
    /// The session as it is now.
    Session(Box<session::Model>),
    /// The application as it is now.
    Application(Box<application::Model>),
    /// The template as it is now, and whether it was `created`, `updated` or `unchanged`.
    Template(Box<template::Model>, &'static str),
    /// The controller as it is now.
    Controller(Box<controller::Model>),
    /// The dead letter as it is now.
    DeadLetter(Box<dead_letter::Model>),
    /// It was known already; nothing changed.
    Duplicate,
    /// Written.
    Written,
}
