//! `dead_letters` counts repeats: the same message from the same sender with the same error is one open letter,
//! with a count and the time of the last one. `digest` identifies equal letters; `repeats` lists the last
//! messages counted, so that a redelivered one is counted once.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "dead_letters";
const DIGEST: &str = "idx_dead_letters_digest";
const REPEATED: &str = "idx_dead_letters_repeated";

/// One statement per column, because SQLite adds only one at a time.
fn columns() -> [ColumnDef; 4] {
    [
        string_len_null("digest", 64),
        big_integer("count").default(1).take(),
        big_integer_null("last_ms"),
        json_binary_null("repeats"),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            manager.alter_table(Table::alter().table(TABLE).add_column(column).take()).await?;
        }
        let mut digest = Index::create().name(DIGEST).table(TABLE).col("digest").take();
        digest.cond_where(Expr::cust("status = 'open'"));
        manager.create_index(digest).await?;
        let mut repeated = Index::create().name(REPEATED).table(TABLE).col("last_ms").take();
        repeated.cond_where(Expr::cust("last_ms IS NOT NULL"));
        manager.create_index(repeated).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in [DIGEST, REPEATED] {
            manager.drop_index(Index::drop().name(index).table(TABLE).to_owned()).await?;
        }
        for column in columns() {
            manager.alter_table(Table::alter().table(TABLE).drop_column(column.get_column_name()).take()).await?;
        }
        Ok(())
    }
}
