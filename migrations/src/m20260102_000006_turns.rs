//! `event_log.turn`: the order of the outbox, in milliseconds since the epoch (`machine::turn`), and an index
//! of the outbox by controller, because each gets no more at a time than it can do soon.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "event_log";
const OUTBOX: &str = "idx_event_log_outbox";

fn outbox(columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(OUTBOX).table(TABLE).take();
    for column in columns {
        index.col(*column);
    }
    index.cond_where(Expr::cust("status = 'pending' AND ready")).take()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let turn = Table::alter().table(TABLE).add_column(big_integer("turn").default(0)).take();
        manager.alter_table(turn).await?;
        manager.drop_index(Index::drop().name(OUTBOX).table(TABLE).to_owned()).await?;
        manager.create_index(outbox(&["controller_id", "turn", "id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(OUTBOX).table(TABLE).to_owned()).await?;
        let first = if manager.get_database_backend() == sea_orm::DbBackend::Postgres { "id" } else { "status" };
        manager.create_index(outbox(&[first])).await?;
        manager.alter_table(Table::alter().table(TABLE).drop_column("turn").take()).await
    }
}
