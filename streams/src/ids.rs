//! Names that become parts of subjects and consumers, validated once on entry.
//!
//! A platform or controller id that is valid here can be used in a NATS subject, a JetStream consumer name and
//! a resource name without further checks.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{CONTROLLER_ID, PLATFORM, USER_TOKEN, shorten};

/// An invalid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not `[a-z0-9-]{1,32}`.
    #[error("platform {0:?} must be 1 to 32 characters of a-z, 0-9 and '-'")]
    Platform(String),
    /// Not `[A-Za-z0-9-]{1,63}`.
    #[error("controller id {0:?} must be 1 to 63 characters of A-Z, a-z, 0-9 and '-'")]
    Controller(String),
    /// Not `[A-Za-z0-9_-]{1,64}`.
    #[error("user {0:?} must be 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'")]
    User(String),
}

/// A platform: `local`, `docker`, `kubernetes`, or any other. Always `[a-z0-9-]{1,32}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform(String);

impl Platform {
    /// Validates a platform's name.
    ///
    /// # Errors
    /// [`Error::Platform`] if a character or the length is invalid.
    pub fn try_new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=PLATFORM).contains(&name.len()) && name.chars().all(legal) {
            Ok(Self(name))
        } else {
            Err(Error::Platform(shorten(&name, 100).into_owned()))
        }
    }

    /// The name as it appears in subjects.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A controller of the durable lane. Always `[A-Za-z0-9-]{1,63}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ControllerId(String);

impl ControllerId {
    /// Validates a controller's id.
    ///
    /// # Errors
    /// [`Error::Controller`] if a character or the length is invalid.
    pub fn try_new(id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if (1..=CONTROLLER_ID).contains(&id.len()) && id.chars().all(legal) {
            Ok(Self(id))
        } else {
            Err(Error::Controller(shorten(&id, 100).into_owned()))
        }
    }

    /// The id as it appears in subjects.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A user who sends requests over NATS. Always `[A-Za-z0-9_-]{1,64}`, so that it is one token of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct User(String);

impl User {
    /// Validates a user's name.
    ///
    /// # Errors
    /// [`Error::User`] if a character or the length is invalid.
    pub fn try_new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if (1..=USER_TOKEN).contains(&name.len()) && name.chars().all(legal) {
            Ok(Self(name))
        } else {
            Err(Error::User(shorten(&name, 100).into_owned()))
        }
    }

    /// The name as it appears in subjects.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! string_like {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(value: String) -> Result<Self, Error> {
                Self::try_new(value)
            }
        }
        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(value: &str) -> Result<Self, Error> {
                Self::try_new(value)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}
string_like!(Platform);
string_like!(ControllerId);
string_like!(User);
