//! `platform_controllers`: who carries out the work, as the contract names it, and what the engine knows of each.
//!
//! The first eleven columns, their types and defaults are the contract's. `last_heartbeat_ms` is soft: it changes with
//! every heartbeat and is not logged.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "platform_controllers";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(TABLE);
        contract(&mut table, manager.get_database_backend());
        engine(&mut table);
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).take()).await
    }
}

fn contract(table: &mut TableCreateStatement, backend: DbBackend) {
    table
        .col(uuid("id").primary_key().default(random_uuid(backend)))
        .col(string_len("controller_id", 255).unique_key())
        .col(string_len("platform", 50))
        .col(string_len_null("display_name", 255))
        .col(string_len_null("status", 50).default("unknown"))
        .col(string_len_null("version", 50))
        .col(json_binary_null("capabilities").default("[]"))
        .col(json_binary_null("cluster_info").default("{}"))
        .col(timestamp_with_time_zone_null("last_heartbeat"))
        .col(timestamp_with_time_zone_null("created_at").default(Expr::current_timestamp()))
        .col(timestamp_with_time_zone_null("updated_at").default(Expr::current_timestamp()));
}

fn engine(table: &mut TableCreateStatement) {
    table
        .col(integer("protocol").default(1))
        .col(uuid_null("instance_id"))
        .col(uuid_null("world_id"))
        .col(json_binary("capacity").default("{}"))
        .col(json_binary("labels").default("{}"))
        .col(integer("interval_seconds").default(10))
        .col(text_null("sealing_key"))
        .col(text_null("reason")) // why it is unhealthy
        .col(string_len("breaker", 20).default("closed")) // closed, open, half_open
        .col(integer("breaker_failures").default(0))
        .col(big_integer_null("breaker_until_ms"))
        .col(boolean("revoked").default(false))
        .col(big_integer("last_heartbeat_ms").default(0))
        .col(uuid_null("synced_instance"))
        .col(big_integer("entity_seq").default(0))
        .col(big_integer("generation").default(1));
}

/// A version 4 UUID made by the database, for rows that were written without one. SQLite keeps UUIDs as 16 bytes.
fn random_uuid(backend: DbBackend) -> Expr {
    Expr::cust(match backend {
        DbBackend::Postgres => "gen_random_uuid()",
        _ => {
            "unhex(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) \
             || substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || hex(randomblob(6)))"
        }
    })
}
