//! Indexes for lists of existing sessions of one user, platform or template, so that deleted ones are never
//! scanned, however many there are. Without `status <> 'deleted'` in the index, a page read every deleted
//! session in between.
//!
//! Lists of all states keep their own indexes, except for templates, whose history is rarely read: it is
//! scanned in the order of time.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "sessions";
const TEMPLATE: &str = "idx_sessions_template";
const LIVING: [(&str, &str); 3] = [
    ("idx_sessions_user_living", "user_id"),
    ("idx_sessions_platform_living", "platform"),
    ("idx_sessions_template_living", "template_id"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(TEMPLATE).table(TABLE).to_owned()).await?;
        for (name, column) in LIVING {
            let mut index = by(name, column);
            manager.create_index(index.cond_where(Expr::cust("status <> 'deleted'")).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in LIVING {
            manager.drop_index(Index::drop().name(name).table(TABLE).to_owned()).await?;
        }
        manager.create_index(by(TEMPLATE, "template_id")).await
    }
}

fn by(name: &str, column: &'static str) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(TABLE).take();
    for column in [column, "created_ms", "session_id"] {
        index.col(column);
    }
    index
}
