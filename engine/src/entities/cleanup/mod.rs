//! Pending clean-ups, the table `debts`: what former owners still have to remove.

mod noun;
mod row;

use machine::debt::{Debt, Status};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use crate::store::command::Unreadable;
use crate::store::command::{CommandColumns as _, command_columns};

/// A pending clean-up's row, which stays when it is settled.
#[sea_orm::model]
#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "debts")]
#[allow(missing_docs)] // the columns are described in the migration and in `machine::debt::Debt`
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub debt_id: Uuid,
    pub session_id: Uuid,
    pub controller_id: String,
    pub user_id: String,
    pub platform: String,
    pub lane: Option<String>,
    pub status: String,
    pub generation: i64,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub command_id: Option<Uuid>,
    pub command_verb: Option<String>,
    pub attempt: i32,
    pub starts: i32,
    pub starter: Option<Uuid>,
    #[sea_orm(column_type = "JsonBinary")]
    pub failures: Json,
    pub next_attempt_ms: Option<i64>,
    pub in_turn: bool,
    pub deadline_ms: Option<i64>,
    pub wake_ms: Option<i64>,
    pub seen_generation: i64,
    pub seen_epoch: i64,
    pub seen_seq: i64,
    pub entity_seq: i64,
    pub created_ms: i64,
    pub updated_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) use row::{command, first_changes, first_row};

command_columns!(Model, message);

impl Model {
    /// The id of the clean-up of one session by one controller, the same each time it becomes pending.
    #[must_use]
    pub fn id(session_id: Uuid, controller_id: &str) -> Uuid {
        Uuid::new_v5(&session_id, controller_id.as_bytes())
    }

    /// The name of a pending clean-up in `event_log.entity`.
    #[must_use]
    pub fn entity(debt_id: Uuid) -> String {
        format!("debt:{debt_id}")
    }

    /// The facts that the machine decides on.
    ///
    /// # Errors
    /// [`Unreadable`] where a column holds what this version does not know.
    pub fn facts(&self) -> Result<Debt, Unreadable> {
        let unreadable = |column, value: &str| Unreadable {
            table: "debts",
            column,
            key: self.debt_id.to_string(),
            value: value.to_owned(),
        };
        Ok(Debt {
            debt_id: self.debt_id,
            status: Status::from_name(&self.status).ok_or_else(|| unreadable("status", &self.status))?,
            command: self.command().map_err(|value| unreadable("failures", &value))?,
        })
    }

    /// Takes over decided facts.
    pub fn assume(&mut self, facts: Debt, now_ms: i64) {
        let Debt { debt_id: _, status, command } = facts;
        self.wake_ms = command.due_ms();
        self.updated_ms = now_ms;
        self.status = status.as_str().to_owned();
        self.set_command(command);
    }
}
