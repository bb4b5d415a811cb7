//! How a command fails: one line on stderr that says what happened and what to try, and an exit code that scripts can
//! rely on.

use std::error::Error;

/// What went wrong, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It failed, or was refused.
    Failed,
    /// The command line, a setting, or a folder that was named is wrong.
    Usage,
    /// There is no such thing.
    NotFound,
    /// What is there does not allow it.
    Conflict,
    /// Nobody answered, or not in time.
    Unavailable,
}

impl Kind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Unavailable => 5,
        }
    }
}

/// The error of every command. Like `anyhow::Error` it takes any other error, and is none itself.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// An error with all its causes in one line.
    pub(crate) fn because(kind: Kind, what: &str, error: &dyn Error) -> Self {
        Self::new(kind, format!("{what}: {}", chain(error)))
    }

    /// What the reader can do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Kind::Failed, chain(&error))
    }
}

/// An error and its causes; a cause that the error has said already is not said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}
