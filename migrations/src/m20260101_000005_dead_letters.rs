//! `dead_letters`: everything that could not be processed, with its bytes, headers and error history.
//!
//! `source` identifies the origin deterministically ("stream:SS_DLQ:<epoch>:<seq>",
//! "command:<event_id>:<generation>"), so that recording the same letter twice has no effect.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "dead_letters";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(table()).await?;
        let listed = Index::create()
            .name("idx_dead_letters_status")
            .table(TABLE)
            .col("status")
            .col("created_ms")
            .col("id")
            .take();
        manager.create_index(listed).await?;
        let uncopied = Index::create()
            .name("idx_dead_letters_uncopied")
            .table(TABLE)
            .col("created_ms")
            .cond_where(Expr::cust("NOT copied"))
            .take();
        manager.create_index(uncopied).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).take()).await
    }
}

fn table() -> TableCreateStatement {
    Table::create()
        .table(TABLE)
        .col(uuid("id").primary_key())
        .col(uuid_null("event_id"))
        .col(string_len("source", 255).unique_key())
        .col(text("subject"))
        .col(string_len("reason", 60))
        .col(text("error"))
        .col(blob("payload"))
        .col(json_binary("headers").default("{}"))
        .col(json_binary("attempts").default("[]"))
        .col(string_len_null("entity", 160))
        .col(string_len_null("controller_id", 255))
        .col(string_len_null("platform", 50))
        .col(string_len("fingerprint", 64))
        .col(string_len("status", 20).default("open")) // open, replayed, discarded
        .col(text_null("note"))
        .col(boolean("copied").default(false)) // to the dead-letter stream, as its public copy
        .col(big_integer("created_ms"))
        .col(big_integer("updated_ms"))
        .take()
}
