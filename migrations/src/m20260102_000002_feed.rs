//! The order of the live feed on PostgreSQL: the column `feed_xact`.
//!
//! Ids are drawn before they are committed, so a lower one may appear after a higher one, behind a reader. The
//! transaction number tells which rows are final: those below the oldest running transaction. The column has a
//! default, so that inserts need not know it. Existing rows keep 0 and stay ordered by id. SQLite has one
//! writer, so its ids are already in order.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The first statement does not rewrite the table, because its default is constant; the second applies to new
/// rows only.
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
