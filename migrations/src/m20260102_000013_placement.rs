//! `sessions` gets the labels that its controller must have (`selector`), and why its owner was chosen (`placement`).

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "sessions";

/// One statement per column, because SQLite adds only one at a time.
fn columns() -> [ColumnDef; 2] {
    [json_binary("selector").default("{}").take(), text_null("placement")]
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
