//! `stream_epochs`: the incarnation of each stream that the log refers to; `meta`: facts about the installation.
//!
//! The installation's id is generated here, once: names of resources on platforms derive from it, so it must be
//! kept and restored together with the sessions.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use uuid::Uuid;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const EPOCHS: &str = "stream_epochs";
const META: &str = "meta";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let epochs = Table::create()
            .table(EPOCHS)
            .col(string_len("name", 128).primary_key())
            .col(big_integer("epoch"))
            .col(text("created_at")) // in the server's format: compared, never computed with
            .col(big_integer("last_seq").default(0))
            .take();
        manager.create_table(epochs).await?;
        let meta = Table::create().table(META).col(string_len("key", 128).primary_key()).col(text("value")).take();
        manager.create_table(meta).await?;
        let id = Query::insert()
            .into_table(META)
            .columns(["key", "value"])
            .values_panic(["installation_id".into(), Uuid::new_v4().to_string().into()])
            .take();
        manager.execute(id).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(META).take()).await?;
        manager.drop_table(Table::drop().table(EPOCHS).take()).await
    }
}
