//! Where the log begins for those who read it in order: written by whoever prunes it, in the transaction of the pruning.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::log::{oldest, place};

/// Nobody goes on from before the last of these rows any more.
pub(crate) async fn raise(db: &impl ConnectionTrait, ids: impl Iterator<Item = i64>) -> Result<(), DbErr> {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    let backend = db.get_database_backend();
    let xact = if backend == DbBackend::Postgres { "feed_xact" } else { "0" };
    let ids = ids.join(", ");
    let sql = format!(
        "SELECT {xact} AS xact, id, event_id FROM event_log WHERE id IN ({ids}) ORDER BY xact DESC, id DESC LIMIT 1"
    );
    let Some(row) = db.query_one_raw(Statement::from_string(backend, sql)).await? else { return Ok(()) };
    let last = place(&row)?;
    if last <= oldest(db).await? {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO meta (key, value) VALUES ('feed_horizon', '{last}') ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    );
    db.execute_raw(Statement::from_string(backend, sql)).await.map(drop)
}
