//! `sessions` gets the reasons why it is awake: its run, the extensions and warnings of the run, and the last
//! activity.
//!
//! `last_sign` and `connected_ms` are soft: neither logged nor folded.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "sessions";

/// One statement per column, because SQLite adds only one at a time.
fn columns() -> [ColumnDef; 8] {
    [
        big_integer_null("run_ms"),
        big_integer_null("awake_until_ms"),
        big_integer("extended_s").default(0).take(),
        big_integer_null("extended_at_ms"),
        big_integer_null("idle_warned_ms"),
        big_integer_null("expiry_warned_ms"),
        string_len("last_sign", 20).default("started").take(),
        big_integer_null("connected_ms"),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            manager.alter_table(Table::alter().table(TABLE).add_column(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            manager.alter_table(Table::alter().table(TABLE).drop_column(column.get_column_name()).take()).await?;
        }
        Ok(())
    }
}
