//! The account after a bad day: what the invariants say about the database as it is.

use anyhow::{Result, ensure};
use engine::store::{event, session};
use machine::session::SOFT;
use migrations::connect::Database;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Map, Value};

/// Checks that every command is accounted for (I2) and that folding the log gives the rows (I5).
///
/// # Errors
/// The first thing that is not as promised.
pub async fn check(database: &Database) -> Result<()> {
    let unaccounted = engine::account::unaccounted(&database.reader).await?;
    ensure!(unaccounted == 0, "{unaccounted} commands are unaccounted for");
    for row in session::Entity::find().all(&database.reader).await? {
        fold(database, &row).await?;
    }
    Ok(())
}

async fn fold(database: &Database, row: &session::Model) -> Result<()> {
    let log = event::Entity::find().filter(event::Column::Entity.eq(session::Model::entity(row.session_id)));
    let log = log.order_by_asc(event::Column::EntitySeq).all(&database.reader).await?;
    let mut folded = Map::new();
    for (i, event) in log.iter().enumerate() {
        ensure!(event.entity_seq == i as i64 + 1, "the log of {} has a gap at {}", row.session_id, i + 1);
        for (name, value) in event.changes.as_ref().and_then(Value::as_object).into_iter().flatten() {
            folded.insert(name.clone(), value.clone());
        }
    }
    let Value::Object(mut stored) = serde_json::to_value(row.facts()?)? else { return Ok(()) };
    stored.retain(|name, _| !SOFT.contains(&name.as_str()));
    ensure!(folded == stored, "the log of {} folds to {folded:?}, its row is {stored:?}", row.session_id);
    Ok(())
}
