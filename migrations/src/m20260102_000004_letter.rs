//! Answers under idempotency keys, amendments of sessions, and an index for each filter of the list of sessions.
//!
//! The list shows all but deleted sessions unless asked otherwise, so deleted ones are not in its index. Tags
//! have an index on PostgreSQL, where sessions without tags cost nothing; on SQLite they are searched among the
//! sessions that the other filters leave.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const SESSIONS: &str = "sessions";
const KEYS: &str = "idempotency_keys";
const TAGS: &str =
    "CREATE INDEX idx_sessions_tags ON sessions USING gin (tags jsonb_path_ops) WHERE tags <> '[]'::jsonb";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let amended = big_integer("amended_seq").default(0).take(); // entity_seq of the last amendment: compared with If-Match
        manager.alter_table(Table::alter().table(SESSIONS).add_column(amended).take()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(TAGS).await?;
        }
        manager.drop_table(Table::drop().table(KEYS).take()).await?; // it was never used
        manager.create_table(keys()).await?;
        manager.create_index(aged()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(KEYS).take()).await?;
        manager.create_table(keys_before()).await?;
        manager.create_index(aged()).await?;
        for name in ["idx_sessions_tags", "idx_sessions_living", "idx_sessions_platform", "idx_sessions_template"] {
            manager.get_connection().execute_unprepared(&format!("DROP INDEX IF EXISTS {name}")).await?;
        }
        manager.alter_table(Table::alter().table(SESSIONS).drop_column("amended_seq").take()).await
    }
}

fn indexes() -> [IndexCreateStatement; 3] {
    let index = |name: &str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(SESSIONS).take();
        for column in columns {
            index.col(*column);
        }
        index
    };
    [
        index("idx_sessions_living", &["created_ms", "session_id"])
            .cond_where(Expr::cust("status <> 'deleted'"))
            .take(),
        index("idx_sessions_platform", &["platform", "created_ms", "session_id"]),
        index("idx_sessions_template", &["template_id", "created_ms", "session_id"]),
    ]
}

fn keys() -> TableCreateStatement {
    Table::create()
        .table(KEYS)
        .col(string_len("principal", 255))
        .col(string_len("key", 255))
        .col(string_len("request_hash", 64)) // the same key for another request is refused
        .col(json_binary("answer")) // what the writer answered, to be shown again
        .col(big_integer("created_ms"))
        .primary_key(Index::create().col("principal").col("key"))
        .take()
}

/// The table as its first step created it.
fn keys_before() -> TableCreateStatement {
    Table::create()
        .table(KEYS)
        .col(string_len("principal", 255))
        .col(string_len("key", 255))
        .col(string_len("body_hash", 64))
        .col(integer("status"))
        .col(json_binary("response"))
        .col(big_integer("created_ms"))
        .primary_key(Index::create().col("principal").col("key"))
        .take()
}

fn aged() -> IndexCreateStatement {
    Index::create().name("idx_idempotency_keys_created").table(KEYS).col("created_ms").take()
}
