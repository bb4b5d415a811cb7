//! `dead_letters.verified`: the engine itself parked it, so its bytes really were on its subject. Letters from
//! before this step count as not verified, because that is no longer known.
//!
//! `engine_secrets`: secrets that the engines of an installation share.

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
