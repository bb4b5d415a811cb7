//! `dead_letters.verified`: the engine parked it itself, so that its bytes were on its subject before. What was parked before this
//! step counts as not verified, because nobody can tell any more.
//!
//! `engine_secrets`: what the engines of one installation share and nobody else may know.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const LETTERS: &str = "dead_letters";
const SECRETS: &str = "engine_secrets";

fn verified() -> ColumnDef {
    boolean("verified").default(false).take()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(LETTERS).add_column(verified()).take()).await?;
        let secrets = Table::create()
            .table(SECRETS)
            .col(string_len("name", 60).primary_key())
            .col(string_len("secret", 128)) // hexadecimal digits
            .col(big_integer("created_ms"))
            .take();
        manager.create_table(secrets).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(SECRETS).take()).await?;
        manager.alter_table(Table::alter().table(LETTERS).drop_column("verified").take()).await
    }
}
