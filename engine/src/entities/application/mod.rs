//! The table `installed_applications`: what was installed where, and the facts that the machine decides on.

mod noun;
mod row;

use machine::application::{Application, Desired};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use streams::wire::AppState;

pub use crate::store::command::Unreadable;
use crate::store::command::{CommandColumns as _, command_columns};

/// An application's row. One that was uninstalled keeps it.
#[sea_orm::model]
#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "installed_applications")]
#[allow(missing_docs)] // the columns are described in the contract and in `machine::application::Application`
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub install_id: Uuid,
    pub catalog_template_id: i64,
    pub template_name: String,
    pub display_name: String,
    pub manifest: String,
    pub installed_by: String,
    pub install_status: String,
    pub install_message: Option<String>,
    pub platform: String,
    pub controller_id: Option<String>,
    pub generation: i64,
    pub entity_seq: i64,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub desired: String,
    pub lane: Option<String>,
    pub reason: Option<String>,
    pub command_id: Option<Uuid>,
    pub command_verb: Option<String>,
    pub attempt: i32,
    pub starts: i32,
    pub starter: Option<Uuid>,
    #[sea_orm(column_type = "JsonBinary")]
    pub failures: Json,
    pub next_attempt_ms: Option<i64>,
    #[serde(default)]
    pub in_turn: bool,
    pub deadline_ms: Option<i64>,
    pub wake_ms: Option<i64>,
    pub seen_generation: i64,
    pub seen_epoch: i64,
    pub seen_seq: i64,
}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) use row::{asked, first, is_gone, payload};

command_columns!(Model, install_message);

impl Model {
    /// The name of an application in `event_log.entity`.
    #[must_use]
    pub fn entity(install_id: Uuid) -> String {
        format!("application:{install_id}")
    }

    /// Who its template is said to be written by, in `templates.source`.
    #[must_use]
    pub fn source(&self) -> String {
        Self::entity(self.install_id)
    }

    /// The facts that the machine decides on.
    ///
    /// # Errors
    /// [`Unreadable`] where a column holds what this version does not know.
    pub fn facts(&self) -> Result<Application, Unreadable> {
        let unreadable = |column, value: &str| Unreadable {
            table: "installed_applications",
            column,
            key: self.install_id.to_string(),
            value: value.to_owned(),
        };
        let status = AppState::from_name(&self.install_status);
        Ok(Application {
            install_id: self.install_id,
            status: status.ok_or_else(|| unreadable("install_status", &self.install_status))?,
            desired: Desired::from_name(&self.desired).ok_or_else(|| unreadable("desired", &self.desired))?,
            command: self.command().map_err(|value| unreadable("failures", &value))?,
        })
    }

    /// Takes over decided facts.
    pub fn assume(&mut self, facts: Application, now_ms: i64) {
        let Application { install_id: _, status, desired, command } = facts;
        self.wake_ms = command.due_ms();
        self.updated_ms = now_ms;
        (self.install_status, self.desired) = (status.as_str().to_owned(), desired.as_str().to_owned());
        self.set_command(command);
    }
}
