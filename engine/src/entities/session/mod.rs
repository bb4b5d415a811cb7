//! The table `sessions`: what was asked for, and the facts that the machine decides on.

mod noun;
mod row;

use std::sync::LazyLock;

use machine::facts::Facts as _;
use machine::session::{Desired, Session, Sign};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use streams::wire::SessionState;

use crate::entities::{Insert, Update};
use crate::store::bulk;
pub(crate) use row::{Pinned, command_payload, first_changes, first_row, readiness_ms};

pub use crate::store::command::Unreadable;
use crate::store::command::{CommandColumns as _, command_columns};
use crate::store::text::Text;

/// A session's row.
#[sea_orm::model]
#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
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

pub(crate) static INSERT: Insert = Insert::new();
pub(crate) static UPDATE: Update<Column> = Update::new();
/// The columns that only amendments change.
pub(crate) static AMEND: LazyLock<bulk::Update> =
    LazyLock::new(|| bulk::Update::new("sessions", "session_id", ["tags", "metadata", "amended_seq"]));

command_columns!(Model, message);

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
        let unreadable = |column, value: &str| Unreadable {
            table: "sessions",
            column,
            key: self.session_id.to_string(),
            value: value.to_owned(),
        };
        let command = self.command().map_err(|value| unreadable("failures", &value))?;
        let status = SessionState::from_name(&self.status).ok_or_else(|| unreadable("status", &self.status))?;
        Ok(Session {
            session_id: self.session_id,
            status,
            desired: Desired::from_name(&self.desired).ok_or_else(|| unreadable("desired", &self.desired))?,
            placement: self.placement.clone(),
            phase: self.phase.clone(),
            url: self.url.clone(),
            pod_name: self.pod_name.clone(),
            run_ms: self.run_ms,
            expires_ms: self.expires_ms,
            awake_until_ms: self.awake_until_ms,
            extended_s: self.extended_s,
            extended_at_ms: self.extended_at_ms,
            idle_warned_ms: self.idle_warned_ms,
            expiry_warned_ms: self.expiry_warned_ms,
            debt: self.debt,
            has_room: self.has_room.unwrap_or(command.controller_id.is_some() && Session::holds_room_as(status)),
            idle_timeout_s: self.idle_timeout_s,
            max_duration_s: self.max_duration_s,
            idle_ms: self.idle_ms,
            last_activity_ms: self.last_activity_ms,
            last_sign: Sign::from_name(&self.last_sign).ok_or_else(|| unreadable("last_sign", &self.last_sign))?,
            connections: self.connections,
            connected_ms: self.connected_ms,
            command,
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
        #[rustfmt::skip]
        let Session {
            session_id: _, command, status, desired, placement, phase, url, pod_name, run_ms, expires_ms, awake_until_ms,
            extended_s, extended_at_ms, idle_warned_ms, expiry_warned_ms, debt, has_room, idle_timeout_s, max_duration_s,
            idle_ms, last_activity_ms, last_sign, connections, connected_ms,
        } = facts;
        self.wake_ms = command.due_ms().into_iter().chain(expires_ms).chain(idle_ms).min();
        self.updated_ms = now_ms;
        self.set_command(command);
        (self.status, self.desired) = (status.as_str().to_owned(), desired.as_str().to_owned());
        (self.placement, self.phase, self.url, self.pod_name) = (placement, phase, url, pod_name);
        (self.run_ms, self.expires_ms, self.awake_until_ms) = (run_ms, expires_ms, awake_until_ms);
        (self.extended_s, self.extended_at_ms) = (extended_s, extended_at_ms);
        (self.idle_warned_ms, self.expiry_warned_ms) = (idle_warned_ms, expiry_warned_ms);
        (self.debt, self.has_room) = (debt, Some(has_room));
        (self.idle_timeout_s, self.max_duration_s) = (idle_timeout_s, max_duration_s);
        (self.idle_ms, self.last_activity_ms) = (idle_ms, last_activity_ms);
        self.last_sign = last_sign.as_str().to_owned();
        (self.connections, self.connected_ms) = (connections, connected_ms);
    }
}
