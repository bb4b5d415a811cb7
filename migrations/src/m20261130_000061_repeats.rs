//! `dead_letters` counts what comes again: the same thing from the same sender with the same error is one open letter, with how often
//! and when it came last. `digest` tells what is the same, `repeats` names the last messages that were counted, so that one that
//! is delivered twice is counted once.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "dead_letters";
const DIGEST: &str = "idx_dead_letters_digest";
const REPEATED: &str = "idx_dead_letters_repeated";

/// One statement a column: SQLite takes no more.
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
