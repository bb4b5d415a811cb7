//! `debts`: pending clean-ups of revoked controllers; and on `platform_controllers` who revoked one, why, when,
//! and the job that moves its sessions.
//!
//! `deadline_ms` and `wake_ms` of `debts` are soft, like those of a session.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const CONTROLLERS: &str = "platform_controllers";
const TABLE: &str = "debts";

/// One statement per column, because SQLite adds only one at a time.
fn columns() -> [ColumnDef; 4] {
    [
        string_len_null("revoked_by", 255),
        text_null("revoked_reason"),
        big_integer_null("revoked_ms"),
        uuid_null("revoked_job"),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            manager.alter_table(Table::alter().table(CONTROLLERS).add_column(column).take()).await?;
        }
        manager.create_table(table()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).take()).await?;
        for column in columns() {
            manager.alter_table(Table::alter().table(CONTROLLERS).drop_column(column.get_column_name()).take()).await?;
        }
        Ok(())
    }
}

fn table() -> TableCreateStatement {
    Table::create()
        .table(TABLE)
        .col(uuid("debt_id").primary_key()) // made of the two below
        .col(uuid("session_id"))
        .col(string_len("controller_id", 255)) // who owes
        .col(string_len("user_id", 255))
        .col(string_len("platform", 50))
        .col(string_len_null("lane", 10))
        .col(string_len("status", 20)) // owed, settled, failed
        .col(big_integer("generation"))
        .col(text_null("reason"))
        .col(text_null("message"))
        .col(uuid_null("command_id"))
        .col(string_len_null("command_verb", 40))
        .col(integer("attempt").default(0))
        .col(integer("starts").default(0))
        .col(uuid_null("starter"))
        .col(json_binary("failures").default("[]"))
        .col(big_integer_null("next_attempt_ms"))
        .col(boolean("in_turn").default(false))
        .col(big_integer_null("deadline_ms"))
        .col(big_integer_null("wake_ms"))
        .col(big_integer("seen_generation").default(0))
        .col(big_integer("seen_epoch").default(0))
        .col(big_integer("seen_seq").default(0))
        .col(big_integer("entity_seq").default(0))
        .col(big_integer("created_ms"))
        .col(big_integer("updated_ms"))
        .take()
}

fn indexes() -> [IndexCreateStatement; 3] {
    let index = |name: &str, column: &'static str| Index::create().name(name).table(TABLE).col(column).take();
    [
        index("idx_debts_session", "session_id"),
        index("idx_debts_wake", "wake_ms").cond_where(Expr::cust("wake_ms IS NOT NULL")).take(),
        index("idx_debts_owed", "controller_id").cond_where(Expr::cust("status <> 'settled'")).take(),
    ]
}
