//! Errors of opening and migrating a database, sorted by what its operator has to do.
//!
//! Both drivers report codes, which are translated only here. A message names the host or file, and never the
//! password in the URL.

use std::path::Path;

use sea_orm::{DbErr, RuntimeErr};

use crate::fault::{self, Code};

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not supported.
    #[error("the database URL {0}: use sqlite://path?mode=rwc or postgres://user:password@host:5432/database")]
    Url(String),
    /// No server answers.
    #[error("cannot reach {target}: is the server running, and are host, port and TLS mode right?")]
    Unreachable {
        /// Host, port and database.
        target: String,
        /// The driver's error.
        source: DbErr,
    },
    /// The server refused the user or the password.
    #[error("{target} refused the user or the password")]
    Credentials {
        /// Host, port and database.
        target: String,
        /// The driver's error.
        source: DbErr,
    },
    /// The database, file or folder does not exist.
    #[error("{target} does not exist: create it (a SQLite file is created with ?mode=rwc, its folder is not)")]
    Missing {
        /// Host, port and database, or the file.
        target: String,
        /// The driver's error.
        source: DbErr,
    },
    /// It can be read but not written.
    #[error(
        "{target} cannot be written: check the rights of the file and of its folder, or that this is not a standby"
    )]
    ReadOnly {
        /// Host, port and database, or the file.
        target: String,
        /// The driver's error.
        source: DbErr,
    },
    /// The disk is full.
    #[error("the disk of {target} is full: free some space and start again, nothing accepted is lost")]
    DiskFull {
        /// Host, port and database, or the file.
        target: String,
        /// The driver's error.
        source: DbErr,
    },
    /// Another process has held its lock for too long.
    #[error("{target} is locked by another process")]
    Busy {
        /// Host, port and database, or the file.
        target: String,
        /// The driver's error.
        source: DbErr,
    },
    /// The file is not a database, or damaged.
    #[error("{target} is not a readable SQLite database: restore a backup, or give another path")]
    Damaged {
        /// The file.
        target: String,
        /// The driver's error.
        source: DbErr,
    },
    /// It was migrated by a later release, whose schema this one does not know.
    #[error("a newer version has migrated this database (step {found}): run that version or restore a backup")]
    Newer {
        /// The last step that this binary does not know.
        found: String,
    },
    /// Steps that this binary needs are missing.
    #[error("the database is behind this version by {missing} steps: run `streamspace migrate`")]
    Behind {
        /// Number of missing steps.
        missing: usize,
    },
    /// A dump was restored into a PostgreSQL cluster with lower transaction numbers.
    #[error(
        "the database was restored from a dump, and the order of its feed has to be adjusted: run `streamspace migrate`"
    )]
    Restored,
    /// Anything else.
    #[error("{target} failed")]
    Database {
        /// Host, port and database, or the file.
        target: String,
        /// The driver's error.
        source: DbErr,
    },
}

impl Error {
    /// Sorts a driver's error on `target`.
    pub(crate) fn sort(target: &str, source: DbErr) -> Self {
        let target = target.to_owned();
        match fault::driver(&source).map(kind) {
            Some(Kind::Unreachable) => Self::Unreachable { target, source },
            Some(Kind::Credentials) => Self::Credentials { target, source },
            Some(Kind::Missing) => Self::Missing { target, source },
            Some(Kind::CannotOpen) if absent(&target) => Self::Missing { target, source },
            Some(Kind::ReadOnly | Kind::CannotOpen) => Self::ReadOnly { target, source },
            Some(Kind::DiskFull) => Self::DiskFull { target, source },
            Some(Kind::Busy) => Self::Busy { target, source },
            Some(Kind::Damaged) => Self::Damaged { target, source },
            Some(Kind::Other) | None => Self::Database { target, source },
        }
    }

    /// The same for an error of the driver itself.
    pub(crate) fn sort_driver(target: &str, source: sqlx::Error) -> Self {
        Self::sort(target, DbErr::Conn(RuntimeErr::SqlxError(source.into())))
    }
}

enum Kind {
    Unreachable,
    Credentials,
    Missing,
    CannotOpen,
    ReadOnly,
    DiskFull,
    Busy,
    Damaged,
    Other,
}

fn kind(error: &sqlx::Error) -> Kind {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => Kind::Unreachable,
        sqlx::Error::Database(e) => match Code::reported(&**e) {
            Code::Sqlite(code) => sqlite(code),
            Code::Postgres(state) => postgres(&state),
        },
        _ => Kind::Other,
    }
}

/// SQLite result codes; the low byte is the family.
fn sqlite(code: i32) -> Kind {
    match code & 0xff {
        5 | 6 => Kind::Busy,
        3 | 8 => Kind::ReadOnly,
        11 | 26 => Kind::Damaged,
        13 => Kind::DiskFull,
        14 => Kind::CannotOpen,
        _ => Kind::Other,
    }
}

/// SQLSTATE codes of PostgreSQL.
fn postgres(code: &str) -> Kind {
    match code {
        "28000" | "28P01" => Kind::Credentials,
        "3D000" => Kind::Missing,
        "25006" => Kind::ReadOnly,
        "53100" => Kind::DiskFull,
        "55P03" | "57014" => Kind::Busy,
        "57P03" => Kind::Unreachable,
        _ => Kind::Other,
    }
}

/// SQLite reports "cannot open" for a missing file, a missing folder and missing permissions alike.
fn absent(target: &str) -> bool {
    let file = Path::new(target);
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    !folder.is_dir() || !file.exists() && std::fs::metadata(folder).is_ok_and(|f| !f.permissions().readonly())
}
