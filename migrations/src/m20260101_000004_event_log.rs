//! `event_log`: the source of truth, and the outbox of commands.
//!
//! The first nine columns and three of the indexes are the contract's. Every accepted request writes here and
//! pays for each index, so the two that find work are partial and contain only unfinished rows.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "event_log";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(TABLE);
        contract(&mut table);
        engine(&mut table);
        manager.create_table(table).await?;
        for index in indexes(outbox(manager.get_database_backend())) {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).take()).await
    }
}

fn contract(table: &mut TableCreateStatement) {
    table
        .col(big_integer("id").auto_increment().primary_key()) // never reused, even after pruning
        .col(uuid("event_id"))
        .col(string_len("subject", 255))
        .col(json_binary("payload"))
        .col(timestamp_with_time_zone_null("published_at").default(Expr::current_timestamp()))
        .col(timestamp_with_time_zone_null("processed_at"))
        .col(string_len_null("processed_by", 255))
        .col(string_len_null("status", 50).default("published"))
        .col(text_null("error_message"));
}

fn engine(table: &mut TableCreateStatement) {
    table
        .col(string_len("entity", 160)) // "session:<uuid>"
        .col(big_integer("entity_seq")) // the order in which an entity is folded
        .col(string_len("kind", 10)) // command, report, decision
        .col(string_len("direction", 3)) // out, in, own
        .col(string_len_null("lane", 10))
        .col(big_integer("generation").default(0))
        .col(integer("attempt").default(0))
        .col(string_len_null("controller_id", 255))
        .col(uuid_null("causation_id"))
        .col(json_binary_null("changes"))
        .col(string_len_null("traceparent", 64))
        .col(big_integer_null("stream_epoch"))
        .col(big_integer_null("stream_seq"))
        .col(big_integer_null("claimed_until_ms"))
        .col(boolean("ready").default(true)) // false for a command without a place
        .col(big_integer("created_ms"))
        .col(big_integer_null("processed_ms"));
}

/// The column of the outbox's index, so that it is read in the order of ids without sorting. SQLite appends the
/// id to every index anyway, and prefers the contract's index of all states unless this one begins with the
/// state and is no wider.
fn outbox(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { "id" } else { "status" }
}

fn indexes(outbox: &'static str) -> [IndexCreateStatement; 7] {
    let index = |name: &str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(TABLE).take();
        for column in columns {
            index.col(*column);
        }
        index
    };
    [
        index("idx_event_log_subject", &["subject"]),
        index("idx_event_log_status", &["status"]),
        index("idx_event_log_published_at", &["published_at"]),
        index("idx_event_log_event", &["event_id", "direction"]).unique().take(),
        index("idx_event_log_entity", &["entity", "entity_seq"]).unique().take(),
        index("idx_event_log_outbox", &[outbox]).cond_where(Expr::cust("status = 'pending' AND ready")).take(),
        index("idx_event_log_unfinished", &["controller_id", "id"])
            .cond_where(Expr::cust("kind = 'command' AND status IN ('published', 'processing')"))
            .take(),
    ]
}
