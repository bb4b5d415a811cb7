//! `sessions` gets one index per list, and none twice. PostgreSQL writes a row into all its indexes whenever
//! its state changes, and a row was in up to fourteen: now it is in nine while a command is open, in eight
//! while it runs, and in six once it is deleted.
//!
//! - By platform, controller or template there is one index each, with the state as its second column: a list
//!   in several states is read state by state, and merged (`engine/src/queries/sessions.rs`).
//! - For users and the order of users, existing and deleted sessions have separate indexes, so that a row is in
//!   one of them.
//! - The list of all existing sessions keeps an index of its own: every session passes through most states, and
//!   the dead entries that it leaves until PostgreSQL vacuums would be scanned by the most frequent list.
//! - What waits is found by its controller, or by the absence of one: before, SQLite scanned everything that a
//!   controller ever had.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "sessions";

/// Name, columns, and condition.
type Shape = (&'static str, &'static [&'static str], Option<&'static str>);

const OPEN: &str = "command_id IS NOT NULL";
const LIVING: &str = "status <> 'deleted'";

const BEFORE: [Shape; 8] = [
    ("idx_sessions_open", &["platform", "controller_id"], Some(OPEN)),
    ("idx_sessions_unplaced", &["platform"], Some("controller_id IS NULL AND status <> 'deleted'")),
    ("idx_sessions_created", &["created_ms", "session_id"], None),
    ("idx_sessions_user", &["user_id", "created_ms", "session_id"], None),
    ("idx_sessions_controller", &["controller_id", "status"], None),
    ("idx_sessions_platform", &["platform", "created_ms", "session_id"], None),
    ("idx_sessions_platform_living", &["platform", "created_ms", "session_id"], Some(LIVING)),
    ("idx_sessions_template_living", &["template_id", "created_ms", "session_id"], Some(LIVING)),
];

const AFTER: [Shape; 4] = [
    ("idx_sessions_open", &["controller_id", "platform"], Some(OPEN)),
    ("idx_sessions_user_gone", &["user_id", "created_ms", "session_id"], Some("status = 'deleted'")),
    ("idx_sessions_controller_status", &["controller_id", "status", "created_ms", "session_id"], None),
    ("idx_sessions_template_status", &["template_id", "status", "created_ms", "session_id"], None),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        exchange(manager, &BEFORE, &AFTER).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        exchange(manager, &AFTER, &BEFORE).await
    }
}

async fn exchange(manager: &SchemaManager<'_>, gone: &[Shape], new: &[Shape]) -> Result<(), DbErr> {
    for (name, ..) in gone {
        manager.drop_index(Index::drop().name(*name).table(TABLE).to_owned()).await?;
    }
    for (name, columns, rows) in new {
        let mut index = Index::create().name(*name).table(TABLE).take();
        for column in *columns {
            index.col(*column);
        }
        if let Some(rows) = rows {
            index.cond_where(Expr::cust(*rows));
        }
        manager.create_index(index).await?;
    }
    Ok(())
}
