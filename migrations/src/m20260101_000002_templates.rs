//! `templates`: what can be started. A deleted one keeps its row, so that its catalog id is never given to another.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "templates";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .col(string_len("name", 128).primary_key())
            .col(big_integer("catalog_template_id").unique_key())
            .col(text("display_name"))
            .col(text("description").default(""))
            .col(text("category").default(""))
            .col(text_null("icon"))
            .col(text_null("base_image"))
            .col(json_binary("tags").default("[]"))
            .col(json_binary("manifest"))
            .col(big_integer("generation").default(1))
            .col(boolean("built_in").default(false))
            .col(boolean("deleted").default(false))
            .col(big_integer("created_ms"))
            .col(big_integer("updated_ms"))
            .col(big_integer("entity_seq").default(0))
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).take()).await
    }
}
