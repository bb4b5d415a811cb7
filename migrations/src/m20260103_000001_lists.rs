//! `sessions` has an index for each list and none twice. PostgreSQL writes a row into all its indexes anew whenever its state
//! changes, and a row was in up to fourteen: now it is in nine while it is on its way, in eight while it runs and in six once it
//! is deleted.
//!
//! - By platform, controller or template there is one index each, which goes on with the state: a list in several states is read
//!   a state at a time, and merged (`engine/src/queries/sessions.rs`).
//! - Of a user and in the order of users the living are one index and the deleted another, so that a row is in one of them.
//! - The list of all that live keeps its own: every session passes through most states, and what it leaves there until PostgreSQL
//!   vacuums would be walked over by the list that is asked for most.
//! - What waits is found by its controller, also by the absence of one: before, SQLite looked through all that a controller ever had.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "sessions";

/// Its name, its columns, and which rows are in it.
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
