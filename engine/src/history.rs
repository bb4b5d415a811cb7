//! A session as it was at some time in the past: its log, folded up to then.
//!
//! What a session was created with never changes and is taken from its row. Soft columns are in no log, so of the past they are
//! unknown: null, where they can be.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::ReadError;
use crate::fold::{self, Folding, SNAPSHOT};
use crate::queries;
use crate::store::{event, session};

/// Columns of which the past is unknown.
const UNKNOWN: [&str; 6] = ["deadline_ms", "idle_ms", "wake_ms", "connections", "connected_ms", "resource_usage"];

/// Why nobody knows how it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There was no such session then.
    #[error("it did not exist yet: it was created at {}", time(*created_ms))]
    NotYet {
        /// When it was created.
        created_ms: i64,
    },
    /// What was logged before then was pruned.
    #[error("its log was pruned: it tells of no time before {}", time(*since_ms))]
    Pruned {
        /// The first time that it tells of.
        since_ms: i64,
    },
    /// Its log is not whole.
    #[error(transparent)]
    Fold(#[from] fold::Error),
    /// What it adds up to is no session of this version.
    #[error("the log of session {0} adds up to what this version does not know")]
    Unreadable(Uuid, #[source] serde_json::Error),
    /// It cannot be read.
    #[error("the log cannot be read: {0}")]
    Database(#[from] ReadError),
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

fn time(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A session as its log says that it was at a time; `None` where there is no such session.
///
/// # Errors
/// [`Error`].
pub async fn session_at(db: &impl ConnectionTrait, id: Uuid, at_ms: i64) -> Result<Option<session::Model>, Error> {
    use event::Column as C;
    let Some(row) = queries::session(db, id).await? else { return Ok(None) };
    if at_ms < row.created_ms {
        return Err(Error::NotYet { created_ms: row.created_ms });
    }
    let entity = session::Model::entity(id);
    let log: Vec<(i64, String, Option<Value>, i64)> = event::Entity::find()
        .select_only()
        .columns([C::EntitySeq, C::Subject, C::Changes, C::CreatedMs])
        .filter(C::Entity.eq(&entity))
        .order_by_asc(C::EntitySeq)
        .into_tuple()
        .all(db)
        .await?;
    if let Some((_, _, _, since_ms)) = log.first().filter(|first| first.1 == SNAPSHOT && first.3 > at_ms) {
        return Err(Error::Pruned { since_ms: *since_ms });
    }
    let (mut folding, mut moved_ms) = (Folding::default(), row.created_ms);
    for (seq, subject, changes, created_ms) in log.into_iter().take_while(|row| row.3 <= at_ms) {
        folding.take(&entity, seq, &subject, changes)?;
        moved_ms = created_ms;
    }
    let Some(seq) = folding.last() else { return Err(fold::Error::Gap { entity, at: 1 }.into()) };
    then(row, folding.facts(), seq, moved_ms).map(Some).map_err(|error| Error::Unreadable(id, error))
}

/// The row with these facts in place of its own.
fn then(
    row: session::Model,
    facts: Map<String, Value>,
    seq: i64,
    moved_ms: i64,
) -> Result<session::Model, serde_json::Error> {
    let hard = row.hard().unwrap_or_default();
    let Value::Object(mut columns) = serde_json::to_value(row)? else { return serde_json::from_value(Value::Null) };
    let silent = hard.into_iter().filter(|(name, _)| !facts.contains_key(name));
    let nothing: Map<String, Value> = silent.map(|(name, value)| (name, nothing(&value))).collect();
    columns.extend(nothing);
    columns.extend(facts);
    columns.extend(UNKNOWN.map(|name| (name.to_owned(), Value::Null)));
    for (name, value) in [("entity_seq", seq), ("updated_ms", moved_ms), ("last_activity_ms", moved_ms)] {
        columns.insert(name.to_owned(), value.into());
    }
    serde_json::from_value(Value::Object(columns))
}

/// What a column holds of which the log has said nothing yet.
fn nothing(value: &Value) -> Value {
    match value {
        Value::Bool(_) => false.into(),
        Value::Number(_) => 0.into(),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) => Value::Object(Map::new()),
        Value::Null | Value::String(_) => Value::Null,
    }
}
