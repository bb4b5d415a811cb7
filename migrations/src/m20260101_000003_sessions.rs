//! `sessions`: the desired state, the actual state, and the command between them.
//!
//! `platform` and `controller_id` are the contract's. Soft columns, neither logged nor folded: `idle_ms`,
//! `wake_ms`, `last_activity_ms`, `connections`, `resource_usage`. `wake_ms` is the earliest of the four due
//! times beside it, so that one index serves all timers.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "sessions";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(TABLE);
        asked(&mut table);
        found(&mut table);
        command(&mut table);
        soft(&mut table);
        manager.create_table(table).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).take()).await
    }
}

/// The desired state.
fn asked(table: &mut TableCreateStatement) {
    table
        .col(uuid("session_id").primary_key())
        .col(string_len("user_id", 255))
        .col(string_len("template_id", 128))
        .col(json_binary("template")) // as it was when chosen
        .col(string_len("platform", 50).default("kubernetes"))
        .col(string_len("desired", 20)) // running, hibernated, deleted
        .col(big_integer("generation").default(1))
        .col(json_binary("resources").default("{}"))
        .col(boolean("persistent_home").default(false))
        .col(big_integer_null("idle_timeout_s"))
        .col(big_integer_null("max_duration_s"))
        .col(json_binary("tags").default("[]"))
        .col(json_binary("metadata").default("{}"));
}

/// The actual state, as reported.
fn found(table: &mut TableCreateStatement) {
    table
        .col(string_len_null("controller_id", 255))
        .col(string_len_null("lane", 10)) // durable, core
        .col(string_len("status", 20))
        .col(text_null("reason"))
        .col(text_null("message"))
        .col(text_null("phase"))
        .col(text_null("url"))
        .col(text_null("pod_name"))
        .col(big_integer("seen_generation").default(0))
        .col(big_integer("seen_epoch").default(0))
        .col(big_integer("seen_seq").default(0))
        .col(boolean("debt").default(false)) // shown as deleted, with a pending clean-up
        .col(big_integer("entity_seq").default(0))
        .col(big_integer("created_ms"))
        .col(big_integer("updated_ms"));
}

/// The open command and its timers.
fn command(table: &mut TableCreateStatement) {
    table
        .col(uuid_null("command_id"))
        .col(string_len_null("command_verb", 40))
        .col(integer("attempt").default(0))
        .col(integer("starts").default(0))
        .col(uuid_null("starter"))
        .col(json_binary("failures").default("[]")) // the errors of its attempts
        .col(big_integer_null("next_attempt_ms"))
        .col(big_integer_null("deadline_ms"))
        .col(big_integer_null("expires_ms"));
}

fn soft(table: &mut TableCreateStatement) {
    table
        .col(big_integer_null("idle_ms"))
        .col(big_integer_null("wake_ms"))
        .col(big_integer("last_activity_ms").default(0))
        .col(integer_null("connections"))
        .col(json_binary_null("resource_usage"));
}

fn indexes() -> [IndexCreateStatement; 6] {
    let index = |name: &str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(TABLE).take();
        for column in columns {
            index.col(*column);
        }
        index
    };
    [
        index("idx_sessions_user", &["user_id", "created_ms", "session_id"]),
        index("idx_sessions_status", &["status", "created_ms", "session_id"]),
        index("idx_sessions_created", &["created_ms", "session_id"]),
        index("idx_sessions_controller", &["controller_id", "status"]),
        index("idx_sessions_wake", &["wake_ms"]).cond_where(Expr::cust("wake_ms IS NOT NULL")).take(),
        index("idx_sessions_unplaced", &["platform"])
            .cond_where(Expr::cust("controller_id IS NULL AND status <> 'deleted'"))
            .take(),
    ]
}
