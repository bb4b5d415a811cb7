//! The open command as the row of what it is about shows it: a session's or an application's alike.

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::Value;
use uuid::Uuid;

use crate::queries;
use crate::store::event;

/// What the row says of its open command.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Open {
    /// Why it waits.
    pub(crate) reason: Option<String>,
    pub(crate) next_attempt_ms: Option<i64>,
    pub(crate) deadline_ms: Option<i64>,
    /// Its failed attempts.
    pub(crate) failures: Value,
}

/// What the row says, where this command is the one that is open.
pub(crate) async fn of(db: &impl ConnectionTrait, command: &event::Model) -> Result<Option<Open>, DbErr> {
    let Some((kind, id)) = command.entity.split_once(':') else { return Ok(None) };
    let Ok(id) = id.parse::<Uuid>() else { return Ok(None) };
    let row = match kind {
        "session" => queries::session(db, id).await?.map(|row| {
            let open = (row.reason, row.next_attempt_ms, row.deadline_ms, row.failures);
            (row.command_id, open)
        }),
        "application" => queries::application(db, id).await?.map(|row| {
            let open = (row.reason, row.next_attempt_ms, row.deadline_ms, row.failures);
            (row.command_id, open)
        }),
        _ => None,
    };
    Ok(row.filter(|(command_id, _)| *command_id == Some(command.event_id)).map(|(_, open)| {
        let (reason, next_attempt_ms, deadline_ms, failures) = open;
        Open { reason, next_attempt_ms, deadline_ms, failures }
    }))
}
