//! `dead_letters` gets an index of causes that contains everything for counting them, so that grouping reads no
//! payload, and the correction of an unreadable report. `jobs` gets the findings of a dry run, its canary, its
//! rate with the earliest time of the next step, and the reason why it halted.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const LETTERS: &str = "dead_letters";
const CAUSES: &str = "idx_dead_letters_cause";
const JOBS: &str = "jobs";

/// One statement per column, because SQLite adds only one at a time.
fn columns() -> Vec<(&'static str, ColumnDef)> {
    let of_jobs = [
        json_binary("outlook").default("{}").take(),
        json_binary_null("canary"),
        big_integer_null("rate"), // items a second
        big_integer_null("not_before_ms"),
        text_null("reason"),
    ];
    let edit = (LETTERS, json_binary_null("edit"));
    of_jobs.into_iter().map(|column| (JOBS, column)).chain([edit]).collect()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in columns() {
            manager.alter_table(Table::alter().table(table).add_column(column).take()).await?;
        }
        let mut causes = Index::create().name(CAUSES).table(LETTERS).take();
        for column in ["fingerprint", "platform", "controller_id", "status", "created_ms", "id"] {
            causes.col(column);
        }
        manager.create_index(causes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(CAUSES).table(LETTERS).to_owned()).await?;
        for (table, column) in columns() {
            manager.alter_table(Table::alter().table(table).drop_column(column.get_column_name()).take()).await?;
        }
        Ok(())
    }
}
