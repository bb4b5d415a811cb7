//! From a message to what is to be done.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use streams::{
    subject::Verb,
    wire::{AppInstall, AppUninstall, SessionCommand, SessionCreate, SessionState, TemplateDelete},
};
use uuid::Uuid;

use super::{lanes::Lane, steps::Asked};
use crate::driver::{Desired, Goal, Spec};

/// Why a message can never be carried out here, however often it comes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("subject {0:?} is no command of this controller's lane")]
    Subject(String),
    #[error("{verb} cannot be read: {source}")]
    Payload { verb: &'static str, source: serde_json::Error },
    #[error("this controller does not serve {0}")]
    NotServed(&'static str),
}

/// One command for a session.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) event_id: Uuid,
    pub(super) attempt: i32,
    /// What is reported while it is under way.
    pub(super) announcement: SessionState,
    pub(super) desired: Desired,
}

impl Order {
    pub(super) const fn lane(&self) -> Lane {
        match self.desired.goal {
            Goal::Running => Lane::Starts,
            Goal::Hibernated => Lane::Stops,
            Goal::Deleted => Lane::Deletes,
        }
    }

    pub(super) const fn asked(&self) -> Asked {
        let Desired { generation, goal, force, .. } = self.desired;
        Asked { generation, starts: matches!(goal, Goal::Running), force: force && matches!(goal, Goal::Deleted) }
    }
}

#[derive(Debug)]
pub(super) enum Command {
    Session(Box<Order>),
    Install(AppInstall),
    Uninstall(AppUninstall),
    Withdraw(TemplateDelete),
}

impl Command {
    pub(super) fn decode(verb: Verb, payload: &[u8], installation: &str) -> Result<Self, Error> {
        Ok(match verb {
            Verb::SessionCreate => {
                Self::Session(Box::new(start(read(verb, payload)?, SessionState::Creating, installation)))
            }
            Verb::SessionWake => {
                Self::Session(Box::new(start(read(verb, payload)?, SessionState::Waking, installation)))
            }
            Verb::SessionHibernate => {
                Self::Session(Box::new(stop(read(verb, payload)?, Goal::Hibernated, installation)))
            }
            Verb::SessionDelete => Self::Session(Box::new(stop(read(verb, payload)?, Goal::Deleted, installation))),
            Verb::AppInstall => Self::Install(read(verb, payload)?),
            Verb::AppUninstall => Self::Uninstall(read(verb, payload)?),
            Verb::TemplateDelete => Self::Withdraw(read(verb, payload)?),
            Verb::NodeCordon | Verb::NodeUncordon | Verb::NodeDrain => return Err(Error::NotServed(verb.name())),
        })
    }
}

fn read<T: DeserializeOwned>(verb: Verb, payload: &[u8]) -> Result<T, Error> {
    // the engine has checked it when it came, perhaps by the rules of an older version
    streams::limits::json::stored(payload).map_err(|source| Error::Payload { verb: verb.name(), source })
}

fn start(command: SessionCreate, announcement: SessionState, installation: &str) -> Order {
    let spec = Spec {
        template_id: command.template_id,
        template: command.template,
        resources: command.resources,
        persistent_home: command.persistent_home,
        metadata: command.metadata,
    };
    let desired = Desired {
        session_id: command.session_id,
        user_id: command.user_id,
        generation: command.generation,
        goal: Goal::Running,
        force: false,
        spec: Some(Arc::new(spec)),
        installation: installation.to_owned(),
    };
    Order { event_id: command.event_id, attempt: command.attempt, announcement, desired }
}

fn stop(command: SessionCommand, goal: Goal, installation: &str) -> Order {
    let announcement = if goal == Goal::Deleted { SessionState::Deleting } else { SessionState::Hibernating };
    let desired = Desired {
        session_id: command.session_id,
        user_id: command.user_id,
        generation: command.generation,
        goal,
        force: command.force.unwrap_or(false),
        spec: None,
        installation: installation.to_owned(),
    };
    Order { event_id: command.event_id, attempt: command.attempt, announcement, desired }
}
