//! `controller_announcements`: what each controller says about its platform, with the JSON Schema of the platform's block
//! in templates.
//!
//! A controller repeats it with every heartbeat and answers for its schema whenever it is asked, so the table is a
//! cache: it is neither logged nor folded, and may be emptied at any time.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "controller_announcements";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .col(string_len("controller_id", 255).primary_key())
            .col(string_len("platform", 50))
            .col(string_len_null("schema_hash", 64))
            .col(json_binary_null("template_schema"))
            .col(json_binary("attributes"))
            .col(string_len_null("keeps", 16))
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).take()).await
    }
}
