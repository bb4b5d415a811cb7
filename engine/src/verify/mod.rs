//! Whether the log and the tables say the same (I5): one ordered scan of `event_log`, folded entity by entity, against the rows.
//!
//! A page is whole entities, and is read together with their rows in one read transaction, so that what the engine writes
//! meanwhile is never taken for a difference. Only the columns that the log of an entity speaks of are compared: the rest is soft,
//! or younger than the entity. After the log come the tables, in search of rows that no log tells of. The scan stands at a
//! [`Position`] between two pages, so whoever has it can go on.

mod finding;
mod log;
mod rows;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement};
use serde::{Deserialize, Serialize};

use crate::store::snapshot::snapshot;

pub(crate) use finding::difference;
pub use finding::{Column, Finding, KEPT, Report, What};

/// Rows of the log on a page.
pub const PAGE: usize = 5_000;
/// Rows of a table on a page.
const ROWS: u64 = 1_000;

/// Where a scan stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum Position {
    /// In the log, after this entity.
    Log {
        /// Empty: nothing was read.
        after: String,
    },
    /// In a table, after this key.
    Rows {
        /// Entities of this kind.
        of: String,
        /// `None`: nothing was read.
        after: Option<String>,
    },
}

impl Position {
    /// Before everything.
    #[must_use]
    pub const fn start() -> Self {
        Self::Log { after: String::new() }
    }
}

/// A scan as it is kept between two steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    /// Where it stands; `None`: at its end.
    pub at: Option<Position>,
    /// What was seen so far.
    pub report: Report,
}

impl Scan {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { at: Some(Position::start()), report: Report::default() }
    }
}

impl Default for Scan {
    fn default() -> Self {
        Self::new()
    }
}

/// One step of a scan.
#[derive(Debug, Clone)]
pub struct Page {
    /// What was seen.
    pub report: Report,
    /// Where it goes on; `None` where everything was seen.
    pub next: Option<Position>,
}

/// Reads and compares the next page: `size` rows of the log, or one entity where its log is longer.
///
/// # Errors
/// What the database says.
pub async fn page(db: &DatabaseConnection, at: &Position, size: usize) -> Result<Page, DbErr> {
    let tx = snapshot(db).await?;
    by_key(&tx).await?;
    let page = match at {
        Position::Log { after } => log::page(&tx, after, size).await?,
        Position::Rows { of, after } => rows::page(&tx, of, after.as_deref(), ROWS).await?,
    };
    tx.commit().await?;
    Ok(page)
}

/// Everything on a page is found by key: PostgreSQL takes tables that it has not analysed yet for small ones, and would read them
/// through for each page.
async fn by_key(tx: &DatabaseTransaction) -> Result<(), DbErr> {
    match tx.get_database_backend() {
        backend @ DbBackend::Postgres => {
            tx.execute_raw(Statement::from_string(backend, "SET LOCAL enable_seqscan = off")).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// About how many rows the log has: never less.
pub(crate) async fn about(db: &DatabaseConnection) -> Result<i64, DbErr> {
    let sql = "SELECT coalesce((SELECT max(id) FROM event_log) - (SELECT min(id) FROM event_log) + 1, 0) AS n";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    row.map_or(Ok(0), |row| row.try_get("", "n"))
}

/// A whole scan at once.
///
/// # Errors
/// What the database says.
pub async fn whole(db: &DatabaseConnection) -> Result<Report, DbErr> {
    let (mut report, mut at) = (Report::default(), Some(Position::start()));
    while let Some(position) = at {
        let page = page(db, &position, PAGE).await?;
        report.add(page.report);
        at = page.next;
    }
    Ok(report)
}
