//! How far the tables know each stream: the highest sequence of one epoch that is written down. A stream that ends before it went
//! back, as one does that was restored from a backup.

use sea_orm::{DatabaseConnection, DbBackend, DbErr, FromQueryResult, Statement};

/// Rows of the log that are looked at for the newest report.
const RECENT: i64 = 500;
/// Published and not ended; the conditions are literally those of the partial index.
pub(crate) const UNFINISHED: &str = "kind = 'command' AND status IN ('published', 'processing')";

#[derive(FromQueryResult)]
struct Last {
    last: i64,
}

/// The last command that was published and has not ended.
pub(crate) async fn commands(db: &DatabaseConnection, backend: DbBackend, epoch: i64) -> Result<u64, DbErr> {
    let sql =
        format!("SELECT coalesce(max(stream_seq), 0) AS last FROM event_log WHERE {UNFINISHED} AND stream_epoch = $1");
    last(db, backend, &sql, epoch).await
}

/// The last report among the newest rows of the log.
pub(crate) async fn reports(db: &DatabaseConnection, backend: DbBackend, epoch: i64) -> Result<u64, DbErr> {
    let sql = format!(
        "SELECT coalesce(max(stream_seq), 0) AS last FROM (SELECT kind, stream_epoch, stream_seq FROM event_log \
         ORDER BY id DESC LIMIT {RECENT}) AS recent WHERE kind = 'report' AND stream_epoch = $1"
    );
    last(db, backend, &sql, epoch).await
}

async fn last(db: &DatabaseConnection, backend: DbBackend, sql: &str, epoch: i64) -> Result<u64, DbErr> {
    let select = Statement::from_sql_and_values(backend, sql, [epoch.into()]);
    let found = Last::find_by_statement(select).one(db).await?;
    Ok(found.and_then(|row| u64::try_from(row.last).ok()).unwrap_or(0))
}
