//! The one clock that due times are compared with: the database's.
//!
//! Several engines share a database, not a clock. On SQLite the database is this process. PostgreSQL is asked each time: going on from
//! an earlier answer was a trip less for each transaction, but put engines apart by as long as one of them had stood still meanwhile, and
//! a job that deletes everything then passed over sessions that seemed to be younger than it. Tests move the clock by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// The database's clock, and how far a test has moved it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    moved_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Milliseconds since the epoch, by the database.
    ///
    /// # Errors
    /// What the database says.
    pub async fn now_ms(&self, db: &impl ConnectionTrait) -> Result<i64, DbErr> {
        if db.get_database_backend() != DbBackend::Postgres {
            return Ok(chrono::Utc::now().timestamp_millis() + self.moved_ms());
        }
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms";
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("clock".into()))?;
        Ok(row.try_get::<i64>("", "now_ms")? + self.moved_ms())
    }

    /// The same inside a transaction, with the number by which PostgreSQL knows it.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) async fn transaction(&self, tx: &impl ConnectionTrait) -> Result<(i64, Option<String>), DbErr> {
        if tx.get_database_backend() != DbBackend::Postgres {
            return Ok((self.now_ms(tx).await?, None));
        }
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms, pg_current_xact_id()::text AS number";
        let row = tx.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("clock".into()))?;
        Ok((row.try_get::<i64>("", "now_ms")? + self.moved_ms(), Some(row.try_get("", "number")?)))
    }

    /// How far a test has moved it.
    pub(crate) fn moved_ms(&self) -> i64 {
        self.moved_ms.load(Ordering::Relaxed)
    }

    /// Moves the clock forward, for tests of what time does.
    pub fn advance(&self, by: std::time::Duration) {
        self.moved_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}
