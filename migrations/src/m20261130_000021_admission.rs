//! `platform_controllers`: whether a controller is admitted to its platform, whether it has used its own
//! heartbeat subject, and the refused heartbeats under its id.
//!
//! Controllers that exist before this step count as admitted, and so do those that an engine of the version
//! before writes. Refused heartbeats are soft: neither logged nor folded.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "platform_controllers";

/// One statement per column, because SQLite adds only one at a time.
fn columns() -> [ColumnDef; 5] {
    [
        boolean("admitted").default(true).take(),
        boolean("own_subject").default(false).take(),
        big_integer("refused_beats").default(0).take(),
        big_integer_null("refused_ms"),
        text_null("refused_why"),
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
