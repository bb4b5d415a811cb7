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
    /// The token is missing, wrong, or not enough.
    Forbidden,
    /// It was there, and is not kept any more.
    Gone,
    /// The server does not know of what was asked.
    Older,
    /// It answered, and says itself that something is wrong with it.
    Unwell,
    /// Ctrl-C, while something went on that goes on without us.
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
            Self::Unwell => 7,
            Self::Interrupted => 130,
        }
    }
}

/// The error of every command. Like `anyhow::Error` it takes any other error, and is none itself.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// What else is known, for those who ask with `--verbose`.
    pub(crate) details: Vec<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, details: Vec::new() }
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

    /// What else is known.
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
