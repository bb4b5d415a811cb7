//! The table `sessions`: what was asked for, and the facts that the machine decides on.

use machine::Lane;
use machine::session::{Attempt, Desired, Session, Sign};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use streams::wire::SessionState;

use super::text::Text;

/// A session's row.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "sessions")]
#[allow(missing_docs)] // the columns are described in the contract and in `machine::session::Session`
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: Uuid,
    pub user_id: String,
    pub template_id: String,
    /// The manifest as it was when it was chosen.
    #[sea_orm(column_type = "JsonBinary")]
    pub template: Text,
    pub platform: String,
    pub controller_id: Option<String>,
    pub lane: Option<String>,
    #[serde(default)]
    pub placement: Option<String>,
    pub status: String,
    pub desired: String,
    pub generation: i64,
    #[sea_orm(column_type = "JsonBinary")]
    pub resources: Json,
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default)]
    pub selector: Json,
    pub persistent_home: bool,
    pub idle_timeout_s: Option<i64>,
    pub max_duration_s: Option<i64>,
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub metadata: Json,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub phase: Option<String>,
    pub url: Option<String>,
    pub pod_name: Option<String>,
    pub command_id: Option<Uuid>,
    pub command_verb: Option<String>,
    pub attempt: i32,
    pub starts: i32,
    pub starter: Option<Uuid>,
    pub next_attempt_ms: Option<i64>,
    #[serde(default)]
    pub in_turn: bool,
    pub deadline_ms: Option<i64>,
    pub run_ms: Option<i64>,
    pub expires_ms: Option<i64>,
    pub awake_until_ms: Option<i64>,
    pub extended_s: i64,
    pub extended_at_ms: Option<i64>,
    pub idle_warned_ms: Option<i64>,
    pub expiry_warned_ms: Option<i64>,
    pub seen_generation: i64,
    pub seen_epoch: i64,
    pub seen_seq: i64,
    #[sea_orm(column_type = "JsonBinary")]
    pub failures: Json,
    pub debt: bool,
    #[serde(default)]
    pub has_room: Option<bool>,
    pub entity_seq: i64,
    #[serde(default)]
    pub amended_seq: i64,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub idle_ms: Option<i64>,
    pub wake_ms: Option<i64>,
    pub last_activity_ms: i64,
    pub last_sign: String,
    pub connections: Option<i32>,
    pub connected_ms: Option<i64>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub resource_usage: Option<Json>,
}

impl ActiveModelBehavior for ActiveModel {}

/// A row that no version of this engine wrote.
#[derive(Debug, thiserror::Error)]
#[error("sessions.{column} of {session_id} holds {value:?}, which this version does not know")]
pub struct Unreadable {
    column: &'static str,
    session_id: Uuid,
    value: String,
}

impl Model {
    /// The name of a session in `event_log.entity`.
    #[must_use]
    pub fn entity(session_id: Uuid) -> String {
        format!("session:{session_id}")
    }

    /// The facts that the machine decides on.
    ///
    /// # Errors
    /// [`Unreadable`] where a column holds what this version does not know.
    pub fn facts(&self) -> Result<Session, Unreadable> {
        let unreadable = |column, value: &str| Unreadable { column, session_id: self.session_id, value: value.into() };
        let failures: Vec<Attempt> = serde_json::from_value(self.failures.clone())
            .map_err(|_| unreadable("failures", &self.failures.to_string()))?;
        let status = SessionState::from_name(&self.status).ok_or_else(|| unreadable("status", &self.status))?;
        Ok(Session {
            session_id: self.session_id,
            status,
            desired: Desired::from_name(&self.desired).ok_or_else(|| unreadable("desired", &self.desired))?,
            generation: self.generation,
            controller_id: self.controller_id.clone(),
            lane: self.lane.as_deref().and_then(Lane::from_name),
            placement: self.placement.clone(),
            reason: self.reason.clone(),
            message: self.message.clone(),
            phase: self.phase.clone(),
            url: self.url.clone(),
            pod_name: self.pod_name.clone(),
            command_id: self.command_id,
            command_verb: self.command_verb.clone(),
            attempt: self.attempt,
            starts: self.starts,
            starter: self.starter,
            next_attempt_ms: self.next_attempt_ms,
            in_turn: self.in_turn,
            run_ms: self.run_ms,
            expires_ms: self.expires_ms,
            awake_until_ms: self.awake_until_ms,
            extended_s: self.extended_s,
            extended_at_ms: self.extended_at_ms,
            idle_warned_ms: self.idle_warned_ms,
            expiry_warned_ms: self.expiry_warned_ms,
            seen_generation: self.seen_generation,
            seen_epoch: self.seen_epoch,
            seen_seq: self.seen_seq,
            failures,
            debt: self.debt,
            has_room: self.has_room.unwrap_or(self.controller_id.is_some() && Session::holds_room_as(status)),
            idle_timeout_s: self.idle_timeout_s,
            max_duration_s: self.max_duration_s,
            deadline_ms: self.deadline_ms,
            idle_ms: self.idle_ms,
            last_activity_ms: self.last_activity_ms,
            last_sign: Sign::from_name(&self.last_sign).ok_or_else(|| unreadable("last_sign", &self.last_sign))?,
            connections: self.connections,
            connected_ms: self.connected_ms,
        })
    }

    /// The columns that are logged and folded: the machine's facts, and what is amended beside them.
    ///
    /// # Errors
    /// As for [`Model::facts`].
    pub fn hard(&self) -> Result<Map<String, Json>, Unreadable> {
        let mut hard = self.facts()?.hard();
        hard.insert("tags".into(), self.tags.clone());
        hard.insert("metadata".into(), self.metadata.clone());
        hard.insert("amended_seq".into(), self.amended_seq.into());
        Ok(hard)
    }

    /// Takes over decided facts.
    pub fn assume(&mut self, facts: Session, now_ms: i64) {
        self.wake_ms =
            [facts.next_attempt_ms, facts.deadline_ms, facts.expires_ms, facts.idle_ms].into_iter().flatten().min();
        self.updated_ms = now_ms;
        self.status = facts.status.as_str().into();
        self.desired = facts.desired.as_str().into();
        self.generation = facts.generation;
        self.controller_id = facts.controller_id;
        self.lane = facts.lane.map(|lane| lane.as_str().into());
        self.placement = facts.placement;
        self.reason = facts.reason;
        self.message = facts.message;
        self.phase = facts.phase;
        self.url = facts.url;
        self.pod_name = facts.pod_name;
        self.command_id = facts.command_id;
        self.command_verb = facts.command_verb;
        self.attempt = facts.attempt;
        self.starts = facts.starts;
        self.starter = facts.starter;
        self.next_attempt_ms = facts.next_attempt_ms;
        self.in_turn = facts.in_turn;
        self.run_ms = facts.run_ms;
        self.expires_ms = facts.expires_ms;
        self.awake_until_ms = facts.awake_until_ms;
        self.extended_s = facts.extended_s;
        self.extended_at_ms = facts.extended_at_ms;
        self.idle_warned_ms = facts.idle_warned_ms;
        self.expiry_warned_ms = facts.expiry_warned_ms;
        self.seen_generation = facts.seen_generation;
        self.seen_epoch = facts.seen_epoch;
        self.seen_seq = facts.seen_seq;
        self.failures = serde_json::to_value(facts.failures).unwrap_or_default();
        self.debt = facts.debt;
        self.has_room = Some(facts.has_room);
        self.idle_timeout_s = facts.idle_timeout_s;
        self.max_duration_s = facts.max_duration_s;
        self.deadline_ms = facts.deadline_ms;
        self.idle_ms = facts.idle_ms;
        self.last_activity_ms = facts.last_activity_ms;
        self.last_sign = facts.last_sign.as_str().into();
        self.connections = facts.connections;
        self.connected_ms = facts.connected_ms;
    }
}
