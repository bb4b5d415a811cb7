//! The open command as the row of what it is about shows it: a session's, an application's or a debt's alike.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, FromQueryResult, QueryFilter, QuerySelect};
use serde_json::Value;

use crate::entities::commanded::{Commanded, each};
use crate::store::event;

/// What the row says of its open command.
#[derive(Debug, Clone, Default, PartialEq, FromQueryResult)]
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
    Ok(each!(E => among::<E>(db, command).await?).into_iter().flatten().next())
}

async fn among<E: Commanded>(db: &impl ConnectionTrait, command: &event::Model) -> Result<Option<Open>, DbErr> {
    let Some(id) = E::named(&command.entity) else { return Ok(None) };
    let row = E::find().select_only().columns([E::REASON, E::NEXT_ATTEMPT_MS, E::DEADLINE_MS, E::FAILURES]);
    row.filter(E::KEY.eq(id)).filter(E::COMMAND_ID.eq(command.event_id)).into_model().one(db).await
}
