//! Reading the log in the order of the feed, from SQL, a page at a time.
//!
//! On PostgreSQL a row is settled when every transaction that could still put something before it has ended: its own number
//! is below the oldest one that runs (`pg_snapshot_xmin`, which counts prepared transactions, too). Pages end before the first
//! row that is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, FromQueryResult, Statement};
use uuid::Uuid;

use super::item::{COLUMNS, Item, Row};
use super::owners::Owners;
use super::position::{After, Position};
use crate::ReadError;

/// Rows that are read at once.
const PAGE: i64 = 256;

/// The first number of a transaction that may still be written to. `feed_offset` is above 0 after a dump was restored.
const SETTLED_BELOW: &str = "(SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
    + coalesce((SELECT value::bigint FROM meta WHERE key = 'feed_offset'), 0))";

/// Why the log cannot be read from somewhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The row that a position names is not there any more, or what followed it may not be.
    #[error("the log cannot be read from there any more")]
    Gone,
    /// There never was such an event.
    #[error("there is no event {0}")]
    Unknown(Uuid),
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] ReadError),
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

/// Rows in a row.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Arc<Item>>,
    /// Nothing settled follows yet.
    pub(super) last: bool,
    /// When the first row was written that waits for transactions before it to end.
    pub(super) held_since_ms: Option<i64>,
}

/// The log of one database, to be read; cheap to share.
#[derive(Debug)]
pub(super) struct Log {
    db: DatabaseConnection,
    owners: Owners,
}

impl Log {
    pub(super) fn new(db: DatabaseConnection) -> Self {
        Self { db, owners: Owners::default() }
    }

    /// What follows a position. It reads from the position's own row, to see that it is there.
    pub(super) async fn after(&self, position: Position) -> Result<Page, Error> {
        let mut rows = self.rows(position).await?;
        let full = rows.len() as i64 > PAGE;
        if position != Position::START {
            let first = rows.first().map(Row::position);
            if first != Some(position) {
                return Err(Error::Gone);
            }
            rows.remove(0);
        }
        let settled = rows.iter().position(|row| !row.settled).unwrap_or(rows.len());
        let held_since_ms = rows.get(settled).map(|row| row.created_ms);
        rows.truncate(settled);
        Ok(Page { items: self.items(rows).await?, last: !full || held_since_ms.is_some(), held_since_ms })
    }

    /// The same for a reader from the past, who also must not have missed what was pruned. It is looked up after the rows were
    /// read, so that whoever prunes meanwhile is noticed.
    pub(super) async fn history(&self, position: Position) -> Result<Page, Error> {
        let page = self.after(position).await?;
        if position < oldest(&self.db).await? { Err(Error::Gone) } else { Ok(page) }
    }

    async fn rows(&self, from: Position) -> Result<Vec<Row>, DbErr> {
        let limit = PAGE + 1;
        let statement = if self.is_postgres() {
            let sql = format!(
                "SELECT feed_xact AS xact, feed_xact < {SETTLED_BELOW} AS settled, {COLUMNS} FROM event_log \
                 WHERE (feed_xact, id) >= ($1, $2) ORDER BY feed_xact, id LIMIT $3"
            );
            Statement::from_sql_and_values(DbBackend::Postgres, sql, [from.xact.into(), from.id.into(), limit.into()])
        } else {
            let sql =
                format!("SELECT 0 AS xact, 1 AS settled, {COLUMNS} FROM event_log WHERE id >= ? ORDER BY id LIMIT ?");
            Statement::from_sql_and_values(DbBackend::Sqlite, sql, [from.id.into(), limit.into()])
        };
        Row::find_by_statement(statement).all(&self.db).await
    }

    async fn items(&self, rows: Vec<Row>) -> Result<Vec<Arc<Item>>, DbErr> {
        let entities: BTreeSet<&str> = rows.iter().map(|row| row.entity.as_str()).collect();
        let owners = self.owners.of(&self.db, &entities).await?;
        let item = |row: Row| {
            let owner = owners.get(&row.entity).cloned();
            Arc::new(row.into_item(owner))
        };
        Ok(rows.into_iter().map(item).collect())
    }

    /// The newest row that is settled.
    pub(super) async fn end(&self) -> Result<Position, DbErr> {
        let sql = if self.is_postgres() {
            format!(
                "SELECT feed_xact AS xact, id, event_id FROM event_log WHERE feed_xact < {SETTLED_BELOW} \
                 ORDER BY feed_xact DESC, id DESC LIMIT 1"
            )
        } else {
            "SELECT 0 AS xact, id, event_id FROM event_log ORDER BY id DESC LIMIT 1".to_owned()
        };
        let row = self.db.query_one_raw(Statement::from_string(self.db.get_database_backend(), sql)).await?;
        row.map_or(Ok(Position::START), |row| place(&row))
    }

    /// The position that a watcher means.
    pub(super) async fn find(&self, after: After) -> Result<Position, Error> {
        let event_id = match after {
            After::Position(position) => return Ok(position),
            After::Event(event_id) => event_id,
        };
        let (xact, parameter) = if self.is_postgres() { ("feed_xact", "$1") } else { ("0", "?") };
        let sql = format!(
            "SELECT {xact} AS xact, id, event_id FROM event_log WHERE event_id = {parameter} ORDER BY xact, id LIMIT 1"
        );
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, [event_id.into()]);
        let row = self.db.query_one_raw(statement).await?.ok_or(Error::Unknown(event_id))?;
        Ok(place(&row)?)
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Postgres
    }

    pub(super) async fn oldest(&self) -> Result<Position, DbErr> {
        oldest(&self.db).await
    }
}

pub(super) fn place(row: &sea_orm::QueryResult) -> Result<Position, DbErr> {
    Ok(Position::of(row.try_get("", "xact")?, row.try_get("", "id")?, row.try_get("", "event_id")?))
}

/// The oldest position that can be read on from. Whoever prunes the log keeps its newest row, and writes to `meta`, as
/// `feed_horizon` and in the same transaction, the position of the first row that is left behind those that went; without that, all of
/// the log is there.
pub(super) async fn oldest(db: &impl ConnectionTrait) -> Result<Position, DbErr> {
    let sql = "SELECT value FROM meta WHERE key = 'feed_horizon'";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let Some(row) = row else { return Ok(Position::START) };
    let text: String = row.try_get("", "value")?;
    text.parse().map_err(|_| DbErr::Custom(format!("feed_horizon in meta is no position: {text:?}")))
}
