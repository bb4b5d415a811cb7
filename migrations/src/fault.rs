//! The extent of a database error: one statement and its transaction, or unknown.
//!
//! After most errors the transaction is in the state that the client expects: a violated constraint, a
//! deadlock, a value that is too long. After others it is not. SQLite rolls back by itself without telling the
//! client when the disk is full, on I/O errors, when memory runs out and when it is interrupted; a lost
//! connection to PostgreSQL leaves the outcome of a commit open. A connection that had such an error is not
//! used again ([`Database::distrust`](crate::connect::Database::distrust)).

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// What is known of a transaction after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The statement failed; the transaction can be rolled back, and the connection stays usable.
    Known,
    /// The transaction may have ended or not, and further statements may fail in the same way. The disk, the
    /// memory, the network or the server is to blame, never the data.
    Unknown,
}

/// The error code of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// An (extended) result code of SQLite; its low byte is the family.
    Sqlite(i32),
    /// A SQLSTATE of PostgreSQL.
    Postgres(String),
}

impl Code {
    /// The code of an error that the database itself reported; `None` if the driver or the connection failed.
    #[must_use]
    pub fn of(error: &DbErr) -> Option<Self> {
        match driver(error)? {
            sqlx::Error::Database(error) => Some(Self::reported(&**error)),
            _ => None,
        }
    }

    pub(crate) fn reported(error: &dyn sqlx::error::DatabaseError) -> Self {
        let code = error.code().unwrap_or_default();
        match error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
            Some(_) => Self::Sqlite(code.parse().unwrap_or_default()),
            None => Self::Postgres(code.into_owned()),
        }
    }

    /// SQLite: ERROR, ABORT, BUSY, LOCKED, SCHEMA, TOOBIG, CONSTRAINT, MISMATCH, AUTH and RANGE end only the
    /// statement. PostgreSQL rolls back every transaction with an error and reports it, so only errors of the
    /// server and its machine remain.
    fn extent(&self) -> Extent {
        let known = match self {
            Self::Sqlite(code) => matches!(code & 0xff, 1 | 4 | 5 | 6 | 17..=20 | 23 | 25),
            Self::Postgres(state) => {
                !["08", "25", "53", "57", "58", "F0", "XX"].contains(&state.get(..2).unwrap_or("XX"))
            }
        };
        if known { Extent::Known } else { Extent::Unknown }
    }
}

/// The extent of an error.
#[must_use]
pub fn extent(error: &DbErr) -> Extent {
    use sqlx::Error as E;
    match (driver(error), error) {
        (Some(E::Database(error)), _) => Code::reported(&**error).extent(),
        (Some(E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed), _)
        | (Some(E::BeginFailed | E::InvalidSavePointStatement), _)
        | (None, DbErr::Conn(RuntimeErr::Internal(_)))
        | (None, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout | ConnAcquireErr::ConnectionClosed)) => {
            Extent::Unknown
        }
        _ => Extent::Known, // a value that the client could not encode or read
    }
}

/// The driver's error behind an error of the ORM.
pub(crate) fn driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(e))
        | DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e)) => Some(e),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_disk_the_memory_or_the_server_says_reaches_who_knows_how_far() {
        let sqlite = |code| Code::Sqlite(code).extent();
        for full_ioerr_nomem_interrupt_corrupt in [13, 10, 10 | 3 << 8, 7, 9, 11, 8, 14] {
            assert_eq!(sqlite(full_ioerr_nomem_interrupt_corrupt), Extent::Unknown);
        }
        for constraint_unique_busy_too_big in [19, 2067, 5, 18, 1] {
            assert_eq!(sqlite(constraint_unique_busy_too_big), Extent::Known);
        }
        let postgres = |state: &str| Code::Postgres(state.into()).extent();
        for state in ["53100", "57P01", "08006", "25006", "XX001", "58030", ""] {
            assert_eq!(postgres(state), Extent::Unknown, "{state}");
        }
        for state in ["23505", "40001", "40P01", "22001", "54000", "42601"] {
            assert_eq!(postgres(state), Extent::Known, "{state}");
        }
    }

    #[test]
    fn a_lost_connection_reaches_who_knows_how_far_and_a_value_that_does_not_decode_does_not() {
        let of = |error: sqlx::Error| extent(&DbErr::Query(RuntimeErr::SqlxError(error.into())));
        assert_eq!(of(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()), Extent::Unknown);
        assert_eq!(of(sqlx::Error::WorkerCrashed), Extent::Unknown);
        assert_eq!(of(sqlx::Error::RowNotFound), Extent::Known);
        assert_eq!(extent(&DbErr::RecordNotInserted), Extent::Known);
    }
}
