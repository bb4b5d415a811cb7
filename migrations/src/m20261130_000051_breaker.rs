//! `platform_controllers` gets the sessions that have failed on a controller since its last success
//! (`breaker_failing`), and the templates that have run there (`breaker_ran`): a breaker opens by who failed
//! and not by how often.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::json_binary_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "platform_controllers";
const COLUMNS: [&str; 2] = ["breaker_failing", "breaker_ran"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in COLUMNS {
            manager.alter_table(Table::alter().table(TABLE).add_column(json_binary_null(column)).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in COLUMNS {
            manager.alter_table(Table::alter().table(TABLE).drop_column(column).take()).await?;
        }
        Ok(())
    }
}
