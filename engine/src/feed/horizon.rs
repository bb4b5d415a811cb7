//! Where the log begins for those who read it in order: written by whoever prunes it, in the transaction of the pruning.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::log::{oldest, place};
use super::position::Position;

/// The place of the last of these rows, to be asked before they go.
pub(crate) async fn last_of(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = i64>,
) -> Result<Option<Position>, DbErr> {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    if ids.is_empty() {
        return Ok(None);
    }
    one(db, &format!("id IN ({})", ids.join(", ")), "DESC").await
}

/// Nobody goes on from before this place any more: the log begins with the first row that is left there or behind it.
pub(crate) async fn raise(db: &impl ConnectionTrait, last: Option<Position>) -> Result<(), DbErr> {
    let Some(Position { xact, id, .. }) = last else { return Ok(()) };
    let postgres = db.get_database_backend() == DbBackend::Postgres;
    let left = if postgres { format!("(feed_xact, id) >= ({xact}, {id})") } else { format!("id >= {id}") };
    let Some(first) = one(db, &left, "ASC").await? else { return Ok(()) };
    if first <= oldest(db).await? {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO meta (key, value) VALUES ('feed_horizon', '{first}') ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    );
    db.execute_raw(Statement::from_string(db.get_database_backend(), sql)).await.map(drop)
}

/// The first of some rows in the order of the feed, or the last.
async fn one(db: &impl ConnectionTrait, of: &str, order: &str) -> Result<Option<Position>, DbErr> {
    let backend = db.get_database_backend();
    let (xact, first) = match backend {
        DbBackend::Postgres => ("feed_xact", format!("feed_xact {order}, id {order}")),
        _ => ("0", format!("id {order}")),
    };
    let sql = format!("SELECT {xact} AS xact, id, event_id FROM event_log WHERE {of} ORDER BY {first} LIMIT 1");
    let row = db.query_one_raw(Statement::from_string(backend, sql)).await?;
    row.map(|row| place(&row)).transpose()
}
