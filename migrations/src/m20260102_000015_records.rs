//! Indexes for retention: which dead letters were closed, and which jobs ended, and when.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Name, table, column, and condition.
const INDEXES: [(&str, &str, &str, &str); 2] = [
    ("idx_dead_letters_closed", "dead_letters", "updated_ms", "status <> 'open'"),
    ("idx_jobs_finished", "jobs", "finished_ms", "finished_ms IS NOT NULL"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table, column, meant) in INDEXES {
            let mut index = Index::create().name(name).table(table).col(column).take();
            manager.create_index(index.cond_where(Expr::cust(meant)).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table, _, _) in INDEXES {
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        Ok(())
    }
}
