//! The table `debts`: what former owners still have to remove.

use machine::Lane;
use machine::command::Attempt;
use machine::debt::{Debt, Status};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// A debt's row. One that was settled keeps it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
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

/// A row that no version of this engine wrote.
#[derive(Debug, thiserror::Error)]
#[error("debts.{column} of {debt_id} holds {value:?}, which this version does not know")]
pub struct Unreadable {
    column: &'static str,
    debt_id: Uuid,
    value: String,
}

impl Model {
    /// The id of what a controller owes of a session: the same however often it comes to owe it.
    #[must_use]
    pub fn id(session_id: Uuid, controller_id: &str) -> Uuid {
        Uuid::new_v5(&session_id, controller_id.as_bytes())
    }

    /// The name of a debt in `event_log.entity`.
    #[must_use]
    pub fn entity(debt_id: Uuid) -> String {
        format!("debt:{debt_id}")
    }

    /// The facts that the machine decides on.
    ///
    /// # Errors
    /// [`Unreadable`] where a column holds what this version does not know.
    pub fn facts(&self) -> Result<Debt, Unreadable> {
        let unreadable = |column, value: &str| Unreadable { column, debt_id: self.debt_id, value: value.into() };
        let failures: Vec<Attempt> = serde_json::from_value(self.failures.clone())
            .map_err(|_| unreadable("failures", &self.failures.to_string()))?;
        Ok(Debt {
            debt_id: self.debt_id,
            status: Status::from_name(&self.status).ok_or_else(|| unreadable("status", &self.status))?,
            generation: self.generation,
            controller_id: Some(self.controller_id.clone()),
            lane: self.lane.as_deref().and_then(Lane::from_name),
            reason: self.reason.clone(),
            message: self.message.clone(),
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
    pub fn assume(&mut self, facts: Debt, now_ms: i64) {
        self.wake_ms = [facts.next_attempt_ms, facts.deadline_ms].into_iter().flatten().min();
        self.updated_ms = now_ms;
        self.status = facts.status.as_str().into();
        self.generation = facts.generation;
        self.lane = facts.lane.map(|lane| lane.as_str().into());
        self.reason = facts.reason;
        self.message = facts.message;
        self.command_id = facts.command_id;
        self.command_verb = facts.command_verb;
        self.attempt = facts.attempt;
        self.starts = facts.starts;
        self.starter = facts.starter;
        self.failures = serde_json::to_value(facts.failures).unwrap_or_default();
        self.next_attempt_ms = facts.next_attempt_ms;
        self.in_turn = facts.in_turn;
        self.deadline_ms = facts.deadline_ms;
        self.seen_generation = facts.seen_generation;
        self.seen_epoch = facts.seen_epoch;
        self.seen_seq = facts.seen_seq;
    }
}
