//! `installed_applications` gets the columns of a life cycle: desired state, open command, timers and fence.
//! `templates` gets `source`, the author of a template, so that no one else overwrites or removes it.
//!
//! `wake_ms` is the earlier of the two due times. At most one application per name and platform is not uninstalled.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "installed_applications";
const INDEXES: [&str; 4] =
    ["idx_applications_living", "idx_applications_created", "idx_applications_wake", "idx_applications_controller"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            // one statement per column, because SQLite adds only one at a time
            manager.alter_table(Table::alter().table(TABLE).add_column(column).take()).await?;
        }
        let source = string_len("source", 300).default("operator").take();
        manager.alter_table(Table::alter().table("templates").add_column(source).take()).await?;
        manager.get_connection().execute_unprepared("UPDATE templates SET source = 'built_in' WHERE built_in").await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in INDEXES {
            manager.drop_index(Index::drop().name(name).table(TABLE).to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("templates").drop_column("source").take()).await?;
        for name in NAMES {
            manager.alter_table(Table::alter().table(TABLE).drop_column(name).take()).await?;
        }
        Ok(())
    }
}

const NAMES: [&str; 15] = [
    "desired",
    "lane",
    "reason",
    "command_id",
    "command_verb",
    "attempt",
    "starts",
    "starter",
    "failures",
    "next_attempt_ms",
    "deadline_ms",
    "wake_ms",
    "seen_generation",
    "seen_epoch",
    "seen_seq",
];

fn columns() -> Vec<ColumnDef> {
    vec![
        string_len("desired", 20).default("installed").take(), // installed, uninstalled
        string_len_null("lane", 10).take(),                    // durable, core
        text_null("reason").take(),
        uuid_null("command_id").take(),
        string_len_null("command_verb", 40).take(),
        integer("attempt").default(0).take(),
        integer("starts").default(0).take(),
        uuid_null("starter").take(),
        json_binary("failures").default("[]").take(), // the errors of its attempts
        big_integer_null("next_attempt_ms").take(),
        big_integer_null("deadline_ms").take(),
        big_integer_null("wake_ms").take(),
        big_integer("seen_generation").default(0).take(),
        big_integer("seen_epoch").default(0).take(),
        big_integer("seen_seq").default(0).take(),
    ]
}

fn indexes() -> [IndexCreateStatement; 4] {
    let index = |name: &str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(TABLE).take();
        for column in columns {
            index.col(*column);
        }
        index
    };
    let [living, created, wake, controller] = INDEXES;
    [
        index(living, &["platform", "template_name"])
            .unique()
            .cond_where(Expr::cust("install_status <> 'uninstalled'"))
            .take(),
        index(created, &["created_ms", "install_id"]),
        index(wake, &["wake_ms"]).cond_where(Expr::cust("wake_ms IS NOT NULL")).take(),
        index(controller, &["controller_id", "install_status"]),
    ]
}
