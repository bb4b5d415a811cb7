//! `platform_controllers` gets the state of its circuit breaker, and the time up to which slots of its retry
//! budget are taken (`retry_ms`, soft); sessions and applications get a mark that their next attempt has a
//! slot. Sessions with an open command get an index, so that reading the queue depends on what waits and not on
//! what exists.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const CONTROLLERS: &str = "platform_controllers";
const COMMANDED: [&str; 2] = ["sessions", "installed_applications"];

const OPEN: &str = "idx_sessions_open";

/// One statement per column, because SQLite adds only one at a time.
fn columns() -> Vec<(&'static str, ColumnDef)> {
    let of_controllers = [
        big_integer_null("breaker_since_ms"),
        json_binary("breaker_kinds").default("{}").take(),
        integer("breaker_trips").default(0).take(),
        uuid_null("breaker_probe"),
        boolean("breaker_held").default(false).take(),
        text_null("breaker_by"),
        text_null("breaker_reason"),
        big_integer("retry_ms").default(0).take(),
    ];
    let in_turn = || boolean("in_turn").default(false).take();
    let of_controllers = of_controllers.into_iter().map(|column| (CONTROLLERS, column));
    of_controllers.chain(COMMANDED.map(|table| (table, in_turn()))).collect()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in columns() {
            manager.alter_table(Table::alter().table(table).add_column(column).take()).await?;
        }
        let mut open = Index::create().name(OPEN).table(COMMANDED[0]).col("platform").col("controller_id").take();
        manager.create_index(open.cond_where(Expr::cust("command_id IS NOT NULL")).take()).await?;
        // failures counted before this step were all errors of drivers
        let kinds = match manager.get_database_backend() {
            sea_orm::DbBackend::Postgres => "jsonb_build_object('driver', breaker_failures)",
            _ => "json_object('driver', breaker_failures)",
        };
        let counted = format!("UPDATE platform_controllers SET breaker_kinds = {kinds} WHERE breaker_failures > 0");
        manager.get_connection().execute_unprepared(&counted).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(OPEN).table(COMMANDED[0]).to_owned()).await?;
        for (table, column) in columns() {
            manager.alter_table(Table::alter().table(table).drop_column(column.get_column_name()).take()).await?;
        }
        Ok(())
    }
}
