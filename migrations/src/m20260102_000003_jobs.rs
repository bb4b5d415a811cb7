//! `jobs`: actions on many items, and the operators' actions on dead letters.
//!
//! A job's decisions (kind, filter, states and result) are logged and folded. Its counters, cursor and claim
//! are soft while it runs. The index of running jobs is partial, so that checking it costs an idle engine
//! nothing. `GET /events` needs an index of decisions, which are too rare to be found by reading the log
//! backwards; only decisions pay for it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "jobs";
const LETTERS: &str = "dead_letters";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(table()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        for column in [string_len_null("settled_by", 255), big_integer("entity_seq").default(0).take()] {
            manager.alter_table(Table::alter().table(LETTERS).add_column(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["entity_seq", "settled_by"] {
            manager.alter_table(Table::alter().table(LETTERS).drop_column(column).take()).await?;
        }
        for (index, table) in [("idx_dead_letters_created", LETTERS), ("idx_event_log_decisions", "event_log")] {
            manager.drop_index(Index::drop().name(index).table(table).to_owned()).await?;
        }
        manager.drop_table(Table::drop().table(TABLE).take()).await
    }
}

fn table() -> TableCreateStatement {
    Table::create()
        .table(TABLE)
        .col(uuid("job_id").primary_key())
        .col(string_len("kind", 40)) // sessions.hibernate, sessions.wake, sessions.delete, dead_letters.replay
        .col(string_len("status", 20)) // running, completed, cancelled
        .col(json_binary("filter"))
        .col(boolean("force").default(false))
        .col(boolean("dry_run").default(false))
        .col(string_len("created_by", 255))
        .col(big_integer("total").default(0))
        .col(big_integer("done").default(0))
        .col(big_integer("failed").default(0))
        .col(big_integer("skipped").default(0))
        .col(json_binary("failures").default("[]"))
        .col(big_integer_null("cursor_ms")) // creation time and id of the last item that was processed
        .col(uuid_null("cursor_id"))
        .col(uuid_null("claimed_by")) // the run of the engine that walks it
        .col(big_integer_null("claimed_until_ms"))
        .col(big_integer("entity_seq").default(0))
        .col(big_integer("created_ms"))
        .col(big_integer("updated_ms"))
        .col(big_integer_null("finished_ms"))
        .take()
}

fn indexes() -> [IndexCreateStatement; 4] {
    let index = |name: &str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(table).take();
        for column in columns {
            index.col(*column);
        }
        index
    };
    [
        index("idx_jobs_created", TABLE, &["created_ms", "job_id"]),
        index("idx_jobs_running", TABLE, &["created_ms"]).cond_where(Expr::cust("status = 'running'")).take(),
        index("idx_dead_letters_created", LETTERS, &["created_ms", "id"]),
        index("idx_event_log_decisions", "event_log", &["id"]).cond_where(Expr::cust("kind = 'decision'")).take(),
    ]
}
