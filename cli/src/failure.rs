//! How a command fails: one line on stderr with the problem and the advice, and an exit code that scripts can rely on.

use std::error::Error;

/// The category of a failure; it determines the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It failed, or was refused.
    Failed,
    /// The command line, a setting or a given folder is wrong.
    Usage,
    /// The thing does not exist.
    NotFound,
    /// The present state does not permit it.
    Conflict,
    /// No answer, or not in time.
    Unavailable,
    /// The token is missing, wrong or insufficient.
    Forbidden,
    /// It existed, and is no longer kept.
    Gone,
    /// The server is too old for this request.
    Older,
    /// The server reports a problem of its own.
    Unhealthy,
    /// Ctrl-C while the server continues.
    Interrupted,
}

impl Kind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failed | Self::Older => 1,
            Self::Usage => 2,
            Self::NotFound | Self::Gone => 3,
            Self::Conflict => 4,
            Self::Unavailable => 5,
            Self::Forbidden => 6,
            Self::Unhealthy => 7,
            Self::Interrupted => 130,
        }
    }
}

/// The error of every command. Like `anyhow::Error` it converts from any other error and is not one itself.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Further details, shown with `--verbose`.
    pub(crate) details: Vec<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, details: Vec::new() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// An error with its causes in one line.
    pub(crate) fn because(kind: Kind, what: &str, error: &dyn Error) -> Self {
        Self::new(kind, format!("{what}: {}", chain(error)))
    }

    /// Adds advice on what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a detail for `--verbose`.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Kind::Failed, chain(&error))
    }
}

/// An error and its causes, without causes that the error's own text already contains.
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
