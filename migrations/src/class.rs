//! Classifies database errors by their code: what would trying again do?
//!
//! This is the only place that knows the codes; the writer, its callers and every loop of the engine decide by
//! [`Class`]. An error may only be blamed on a change that was alone in its transaction; the caller has to
//! ensure that.

use sea_orm::{DbErr, RuntimeErr};

/// What trying again would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A conflict with another transaction. The same change succeeds when it is retried at once.
    Contention,
    /// A problem of the installation: no connection, no space, no permission, no such table, read-only,
    /// shutting down. No change is to blame, and every change fails until the problem is fixed.
    Passing,
    /// The change itself violates a rule of the tables, and always will.
    Permanent,
    /// Anything else. It may be retried a limited number of times.
    Unknown,
}

/// The class of an error.
#[must_use]
pub fn class(error: &DbErr) -> Class {
    match error {
        DbErr::ConnectionAcquire(_) => Class::Passing,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => of_driver(error),
        _ => Class::Unknown,
    }
}

fn of_driver(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        | sqlx::Error::Configuration(_) => Class::Passing,
        sqlx::Error::Encode(_) => Class::Permanent,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            match error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
                Some(_) => of_sqlite(code.parse().unwrap_or_default(), error.message()),
                None => of_sqlstate(&code),
            }
        }
        _ => Class::Unknown,
    }
}

/// By SQLSTATE, as listed in PostgreSQL's appendix A.
fn of_sqlstate(code: &str) -> Class {
    match code {
        "23505" => Class::Contention, // two engines may insert the same row at once; the loser reads it and retries
        "23502" | "23514" | "54000" => Class::Permanent, // not null, check, a program limit such as the size of an index row
        "25006" => Class::Passing,                       // read-only: a standby, or a database that is set to it
        _ => match code.get(..2) {
            Some("40") => Class::Contention,                   // serialization failure, deadlock
            Some("22") => Class::Permanent, // data exceptions: too long, out of range, a character that cannot be stored
            Some("08" | "42" | "53" | "57") => Class::Passing, // connection, schema or rights, resources, intervention
            Some("28" | "3D" | "55" | "58") => Class::Passing, // authorization, no such database, not now, its system
            _ => Class::Unknown,
        },
    }
}

/// By SQLite's result code; its low byte is the primary code.
fn of_sqlite(code: i32, message: &str) -> Class {
    const PRIMARY_KEY: i32 = 1555;
    const UNIQUE: i32 = 2067;
    match (code, code & 0xff) {
        (PRIMARY_KEY | UNIQUE, _) => Class::Contention,
        (_, 18..=20) => Class::Permanent, // TOOBIG, CONSTRAINT, MISMATCH
        // PERM, ABORT, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, SCHEMA, AUTH, NOTADB
        (_, 3..=11 | 13..=15 | 17 | 23 | 26) => Class::Passing,
        // the generic ERROR has no finer code: a missing part of the schema is a problem of the installation
        (1, _) if message.starts_with("no such ") || message.contains(" has no column ") => Class::Passing,
        _ => Class::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_postgresql_are_classed_by_whom_they_blame() {
        let classes = [
            (Class::Permanent, ["22001", "22003", "22021", "22P05", "23502", "23514", "54000"].as_slice()),
            (
                Class::Passing,
                &["08006", "25006", "42P01", "42501", "53100", "53300", "57014", "57P01", "55P03", "58030"],
            ),
            (Class::Contention, &["40001", "40P01", "23505"]),
            (Class::Unknown, &["XX000", "23503", "0A000", "", "é"]),
        ];
        for (class, codes) in classes {
            codes.iter().for_each(|code| assert_eq!(of_sqlstate(code), class, "{code}"));
        }
    }

    #[test]
    fn codes_of_sqlite_are_classed_by_whom_they_blame() {
        let classes = [
            (Class::Permanent, [18, 19, 20, 275, 787, 1299].as_slice()),
            (Class::Passing, &[5, 6, 7, 8, 9, 10, 11, 13, 14, 26, 517, 3082, 4618]),
            (Class::Contention, &[1555, 2067]),
            (Class::Unknown, &[0, 1, 2, 12, 16, 21, 25]),
        ];
        for (class, codes) in classes {
            codes.iter().for_each(|code| assert_eq!(of_sqlite(*code, "near x"), class, "{code}"));
        }
        assert_eq!(of_sqlite(1, "no such table: sessions"), Class::Passing);
    }
}
