//! The order in which the live feed shows the log, on PostgreSQL: the column `feed_xact`.
//!
//! Ids are drawn before they are committed, so a lower one may appear after a higher one, behind a reader. The number of the
//! transaction tells which rows cannot have anything appear before them any more: those below the oldest one that still runs.
//! The column fills itself, so that nobody who inserts needs to know it. Rows from before keep 0 and stay ordered by id.
//! SQLite has one writer; its ids are the order already.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The first statement does not rewrite the table, because its default is a constant; the second is for new rows only.
const UP: &str = "
    ALTER TABLE event_log ADD COLUMN feed_xact bigint NOT NULL DEFAULT 0;
    ALTER TABLE event_log ALTER COLUMN feed_xact SET DEFAULT (pg_current_xact_id()::text::bigint);
    CREATE INDEX idx_event_log_feed ON event_log (feed_xact, id);
";
const DOWN: &str = "
    ALTER TABLE event_log DROP COLUMN feed_xact;
    DELETE FROM meta WHERE key = 'feed_offset';
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}

async fn run(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        manager.get_connection().execute_unprepared(sql).await?;
    }
    Ok(())
}
