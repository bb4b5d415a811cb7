//! What the log says: folding the rows of an entity, in their order, gives its row (I5).

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Map, Value};

use crate::store::event;

/// Why a log does not fold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row is missing, or two claim one place.
    #[error("the log of {entity} has a gap at {at}")]
    Gap {
        /// Whose log.
        entity: String,
        /// The place in fold order.
        at: i64,
    },
    /// It cannot be read.
    #[error("the log cannot be read: {0}")]
    Database(#[from] DbErr),
}

/// The facts that the log of an entity adds up to, by the names of their columns.
///
/// # Errors
/// [`Error`].
pub async fn fold(db: &impl ConnectionTrait, entity: &str) -> Result<Map<String, Value>, Error> {
    let log = event::Entity::find().filter(event::Column::Entity.eq(entity));
    let log = log.order_by_asc(event::Column::EntitySeq).all(db).await?;
    let mut facts = Map::new();
    for (row, at) in log.into_iter().zip(1..) {
        if row.entity_seq != at {
            return Err(Error::Gap { entity: entity.to_owned(), at });
        }
        if let Some(Value::Object(changes)) = row.changes {
            facts.extend(changes);
        }
    }
    Ok(facts)
}
