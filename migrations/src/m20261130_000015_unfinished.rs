//! An index of unfinished commands by state and position: before each round the relay counts a controller's
//! starts, begun and not begun.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "event_log";
const INDEX: &str = "idx_event_log_unfinished";

async fn replace(manager: &SchemaManager<'_>, columns: &[&'static str]) -> Result<(), DbErr> {
    manager.drop_index(Index::drop().name(INDEX).table(TABLE).to_owned()).await?;
    let mut index = Index::create().name(INDEX).table(TABLE).take();
    for column in columns {
        index.col(*column);
    }
    index.cond_where(Expr::cust("kind = 'command' AND status IN ('published', 'processing')"));
    manager.create_index(index).await
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace(manager, &["controller_id", "status", "turn", "id"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace(manager, &["controller_id", "id"]).await
    }
}
