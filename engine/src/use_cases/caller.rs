//! On whose behalf something is done.

use uuid::Uuid;

use super::authorize::{Action, Denied, Resource, authorize};

/// The name under which the administrator acts.
pub const ADMINISTRATOR: &str = "admin";

/// How far a caller's rights go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// All operations.
    Administrator,
    /// The user's own sessions, and reading what is for everybody.
    User,
}

/// What a caller acts through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Through {
    /// A request over HTTP.
    Http,
    /// A request over NATS.
    Nats,
    /// A command that runs beside the engine, such as `streamspace verify`.
    Cli,
    /// The engine itself.
    Engine,
}

/// Who asks, with which rights, and through what. It comes from the credential, never from the request's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The principal's name: of the user, or [`ADMINISTRATOR`].
    pub name: String,
    /// The rights.
    pub role: Role,
    /// What the caller acts through.
    pub through: Through,
    /// The request's id, as its response and the log of the server have it.
    pub request_id: Option<Uuid>,
}

impl Caller {
    /// The administrator.
    #[must_use]
    pub fn administrator(through: Through) -> Self {
        Self { name: ADMINISTRATOR.to_owned(), role: Role::Administrator, through, request_id: None }
    }

    /// The trace that the caller's request is part of, as a W3C `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        streams::trace::current_traceparent()
    }

    /// The user whose things are meant where a request names `named`, or nobody: a user means themselves, and the administrator
    /// may mean everybody.
    ///
    /// # Errors
    /// [`Denied`] where a user names another.
    pub fn owner(&self, action: Action, named: Option<String>) -> Result<Option<String>, Denied> {
        match (self.role, named) {
            (Role::User, None) => Ok(Some(self.name.clone())),
            (_, named) => {
                authorize(self, action, &Resource::OfUser(named.as_deref()))?;
                Ok(named)
            }
        }
    }
}
