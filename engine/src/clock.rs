//! The one clock that due times are compared with: the database's.
//!
//! Several engines share a database, not a clock. On SQLite the database is this process. PostgreSQL is asked once a second; in between
//! its time goes on as this process counts, so that a transaction need not begin with a question. Tests move the clock by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// How long PostgreSQL's answer is gone on from.
const AGE: Duration = Duration::from_secs(1);

/// The database's clock, and how far a test has moved it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    moved_ms: Arc<AtomicI64>,
    told: Arc<Mutex<Option<Told>>>,
}

/// What PostgreSQL said.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Instant,
    now_ms: i64,
}

impl Told {
    /// The time now, as long as the answer is young enough.
    fn gone_on(self) -> Option<i64> {
        let since = self.at.elapsed();
        (since < AGE).then(|| self.now_ms + i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Clock {
    /// Milliseconds since the epoch, by the database.
    ///
    /// # Errors
    /// What the database says.
    pub async fn now_ms(&self, db: &impl ConnectionTrait) -> Result<i64, DbErr> {
        let now_ms = match db.get_database_backend() {
            DbBackend::Postgres => self.by_postgres(db).await?,
            _ => chrono::Utc::now().timestamp_millis(),
        };
        Ok(now_ms + self.moved_ms())
    }

    async fn by_postgres(&self, db: &impl ConnectionTrait) -> Result<i64, DbErr> {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now_ms) = told.and_then(Told::gone_on) {
            return Ok(now_ms);
        }
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms";
        let asked = Instant::now();
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        let now_ms: i64 = row.ok_or_else(|| DbErr::RecordNotFound("clock".into()))?.try_get("", "now_ms")?;
        let told = Told { at: asked + asked.elapsed() / 2, now_ms }; // it was said somewhere in between
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        Ok(now_ms)
    }

    /// How far a test has moved it.
    pub(crate) fn moved_ms(&self) -> i64 {
        self.moved_ms.load(Ordering::Relaxed)
    }

    /// Moves the clock forward, for tests of what time does.
    pub fn advance(&self, by: Duration) {
        self.moved_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}
