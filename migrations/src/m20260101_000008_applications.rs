//! `installed_applications`: which application is installed where, with the columns of the contract.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "installed_applications";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .col(uuid("install_id").primary_key())
            .col(big_integer("catalog_template_id"))
            .col(string_len("template_name", 128))
            .col(text("display_name"))
            .col(text("manifest"))
            .col(string_len("installed_by", 255))
            .col(string_len_null("install_status", 50).default("pending"))
            .col(text_null("install_message"))
            .col(string_len_null("platform", 50).default("kubernetes"))
            .col(string_len_null("controller_id", 255))
            .col(big_integer("generation").default(1))
            .col(big_integer("entity_seq").default(0))
            .col(big_integer("created_ms"))
            .col(big_integer("updated_ms"))
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).take()).await
    }
}
