//! Why something could not be read: the database's error, without its type.
//!
//! Callers of the engine decide by its [`class`](ReadError::class) and need no database library for it.

use migrations::Class;
use sea_orm::DbErr;

/// An error of a read. The database's error is its source.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReadError(#[from] DbErr);

impl ReadError {
    /// What trying again would do.
    #[must_use]
    pub fn class(&self) -> Class {
        migrations::class(&self.0)
    }
}

/// For readers inside the engine that deal in the database's own errors.
impl From<ReadError> for DbErr {
    fn from(error: ReadError) -> Self {
        error.0
    }
}
