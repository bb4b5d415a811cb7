//! What became of a command, attempt by attempt: from the reports that it caused, and from the history of failures, which also
//! has the attempts that nobody reported on.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use serde_json::Value;
use uuid::Uuid;

use crate::open;
use crate::store::{dead_letter, event};

/// One attempt of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Which, from 1.
    pub attempt: i64,
    /// When it was last heard of.
    pub at_ms: i64,
    /// The state that was reported last, `failed`, or how far the command got where nothing was reported.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
    /// Who tried.
    pub controller_id: Option<String>,
}

/// The attempts of a command, given its reports in the order in which they came.
///
/// # Errors
/// What the database says.
pub async fn attempts(
    db: &impl ConnectionTrait,
    command: &event::Model,
    reports: &[event::Model],
) -> Result<Vec<Tried>, DbErr> {
    if command.kind != event::Kind::Command.as_str() {
        return Ok(Vec::new());
    }
    let mut tried = BTreeMap::new();
    for failure in failures(db, command).await?.as_array().into_iter().flatten() {
        let one = failed(command, failure);
        tried.insert(one.attempt, one);
    }
    for report in reports {
        let one = reported(report);
        tried.insert(one.attempt, one);
    }
    let open = i64::from(command.attempt);
    if open > 0 {
        tried.entry(open).or_insert_with(|| Tried {
            attempt: open,
            at_ms: command.published_at.map_or(command.created_ms, |at| at.timestamp_millis()),
            outcome: command.status.clone().unwrap_or_default(),
            error: command.error_message.clone(),
            controller_id: command.controller_id.clone(),
        });
    }
    Ok(tried.into_values().collect())
}

/// The history: that of the open command with what it is about, that of one that was given up with its dead letter.
async fn failures(db: &impl ConnectionTrait, command: &event::Model) -> Result<Value, DbErr> {
    if let Some(open) = open::of(db, command).await? {
        return Ok(open.failures);
    }
    Ok(letter(db, command.event_id).await?.map(|letter| letter.attempts).unwrap_or_default())
}

/// What a command became that was given up.
pub(crate) async fn letter(db: &impl ConnectionTrait, command: Uuid) -> Result<Option<dead_letter::Model>, DbErr> {
    let source = dead_letter::Column::Source.eq(format!("command:{command}"));
    dead_letter::Entity::find().filter(source).one(db).await
}

fn failed(command: &event::Model, failure: &Value) -> Tried {
    Tried {
        attempt: failure["attempt"].as_i64().unwrap_or(1),
        at_ms: failure["at_ms"].as_i64().unwrap_or(command.created_ms),
        outcome: "failed".into(),
        error: why(&failure["error"]),
        controller_id: command.controller_id.clone(),
    }
}

fn reported(report: &event::Model) -> Tried {
    Tried {
        attempt: i64::from(report.attempt.max(1)), // the core lane does not echo it
        at_ms: report.created_ms,
        outcome: report.payload["status"].as_str().unwrap_or("reported").to_owned(),
        error: why(&report.payload["error"]),
        controller_id: report.controller_id.clone(),
    }
}

fn why(error: &Value) -> Option<String> {
    match (error["code"].as_str(), error["message"].as_str()) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => None,
    }
}
