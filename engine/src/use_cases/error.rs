//! Why a use case gave nothing.

use sea_orm::DbErr;

use super::authorize::Denied;
use crate::{ReadError, ReplayError, WriteError, courier, feed, history, questions, request};

/// Why a use case gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no such thing.
    #[error("there is no {what} {name}")]
    NotFound {
        /// The noun, as in `controller`.
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The request is wrong, or could not be checked or written.
    #[error(transparent)]
    Request(#[from] request::Error),
    /// It was refused, or could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A dead letter was not replayed or edited.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A session as it was cannot be shown.
    #[error(transparent)]
    History(#[from] history::Error),
    /// The log cannot be watched from there.
    #[error(transparent)]
    Feed(#[from] feed::Error),
    /// A controller did not answer a question.
    #[error(transparent)]
    Question(#[from] questions::Error),
    /// The streams could not be declared anew.
    #[error(transparent)]
    Streams(#[from] courier::Error),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Read(error.into())
    }
}

impl Error {
    pub(super) fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound { what, name: name.to_string() }
    }
}
