//! Adjusts a database after a dump was restored: transaction numbers start again, but the order of the feed must not.
//!
//! `event_log.feed_xact` holds transaction numbers of one PostgreSQL cluster. Restored into another, rows may
//! have numbers that this cluster has not reached yet, and new rows would be sorted before them. So the offset
//! that is added to new numbers is raised above all old ones: in the column's default, and in `meta`, where
//! readers find it. Old rows keep their order and their positions.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// The log has rows with a transaction number that this cluster has not reached, so they came from a dump.
const AHEAD: &str = "
    SELECT newest.feed_xact AS newest FROM
        (SELECT feed_xact FROM event_log ORDER BY feed_xact DESC, id DESC LIMIT 1) AS newest
    WHERE newest.feed_xact >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
        + coalesce((SELECT value::bigint FROM meta WHERE key = 'feed_offset'), 0)";

/// The newest number in the log if it is ahead of this cluster's.
pub(crate) async fn ahead(db: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, AHEAD)).await?;
    row.map(|row| row.try_get("", "newest")).transpose()
}

/// Raises the offset if necessary; returns whether it was.
pub(crate) async fn settle(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    if ahead(db).await?.is_none() {
        return Ok(false);
    }
    // no rows are inserted under the lock; the question is asked again because another process may have
    // adjusted it meanwhile
    db.execute_unprepared("LOCK TABLE event_log IN ACCESS EXCLUSIVE MODE").await?;
    let Some(offset) = ahead(db).await? else { return Ok(false) };
    db.execute_unprepared(&format!(
        "ALTER TABLE event_log ALTER COLUMN feed_xact SET DEFAULT (pg_current_xact_id()::text::bigint + {offset});
         INSERT INTO meta (key, value) VALUES ('feed_offset', '{offset}')
             ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    ))
    .await?;
    Ok(true)
}
