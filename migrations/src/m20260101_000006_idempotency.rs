//! `idempotency_keys`: answers, for requests that are sent again.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "idempotency_keys";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .col(string_len("principal", 255))
            .col(string_len("key", 255))
            .col(string_len("body_hash", 64)) // the same key with another body is refused
            .col(integer("status"))
            .col(json_binary("response"))
            .col(big_integer("created_ms"))
            .primary_key(Index::create().col("principal").col("key"))
            .take();
        manager.create_table(table).await?;
        let aged = Index::create().name("idx_idempotency_keys_created").table(TABLE).col("created_ms").take();
        manager.create_index(aged).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).take()).await
    }
}
