//! The table `installed_applications`: what was installed where, and the facts that the machine decides on.

use machine::Lane;
use machine::application::{Application, Attempt, Desired};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use streams::wire::AppState;

/// An application's row. One that was uninstalled keeps it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
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

/// A row that no version of this engine wrote.
#[derive(Debug, thiserror::Error)]
#[error("installed_applications.{column} of {install_id} holds {value:?}, which this version does not know")]
pub struct Unreadable {
    column: &'static str,
    install_id: Uuid,
    value: String,
}

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
        let unreadable = |column, value: &str| Unreadable { column, install_id: self.install_id, value: value.into() };
        let failures: Vec<Attempt> = serde_json::from_value(self.failures.clone())
            .map_err(|_| unreadable("failures", &self.failures.to_string()))?;
        let status = AppState::from_name(&self.install_status);
        Ok(Application {
            install_id: self.install_id,
            status: status.ok_or_else(|| unreadable("install_status", &self.install_status))?,
            desired: Desired::from_name(&self.desired).ok_or_else(|| unreadable("desired", &self.desired))?,
            generation: self.generation,
            controller_id: self.controller_id.clone(),
            lane: self.lane.as_deref().and_then(Lane::from_name),
            reason: self.reason.clone(),
            message: self.install_message.clone(),
            command_id: self.command_id,
            command_verb: self.command_verb.clone(),
            attempt: self.attempt,
            starts: self.starts,
            starter: self.starter,
            next_attempt_ms: self.next_attempt_ms,
            in_turn: self.in_turn,
            seen_generation: self.seen_generation,
            seen_epoch: self.seen_epoch,
            seen_seq: self.seen_seq,
            failures,
            deadline_ms: self.deadline_ms,
        })
    }

    /// Takes over decided facts.
    pub fn assume(&mut self, facts: Application, now_ms: i64) {
        self.wake_ms = [facts.next_attempt_ms, facts.deadline_ms].into_iter().flatten().min();
        self.updated_ms = now_ms;
        self.install_status = facts.status.as_str().into();
        self.desired = facts.desired.as_str().into();
        self.generation = facts.generation;
        self.controller_id = facts.controller_id;
        self.lane = facts.lane.map(|lane| lane.as_str().into());
        self.reason = facts.reason;
        self.install_message = facts.message;
        self.command_id = facts.command_id;
        self.command_verb = facts.command_verb;
        self.attempt = facts.attempt;
        self.starts = facts.starts;
        self.starter = facts.starter;
        self.next_attempt_ms = facts.next_attempt_ms;
        self.in_turn = facts.in_turn;
        self.seen_generation = facts.seen_generation;
        self.seen_epoch = facts.seen_epoch;
        self.seen_seq = facts.seen_seq;
        self.failures = serde_json::to_value(facts.failures).unwrap_or_default();
        self.deadline_ms = facts.deadline_ms;
    }
}
