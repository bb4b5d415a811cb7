//! What the log says: folding the rows of an entity, in their order, gives its row (I5).
//!
//! A log begins at place 1, or, where what came before was pruned, with a snapshot: a row whose subject is [`SNAPSHOT`] and whose
//! changes are all the facts as they then stood. It ends for good with a row that says that its record is no longer kept ([`PRUNED`]).

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Map, Value};

use crate::ReadError;
use crate::store::event;

/// The subject of a row that has all facts of its entity, so that nothing before it is needed.
pub const SNAPSHOT: &str = "snapshot";

/// The subjects of rows with which the records of letters, jobs and controllers go: there is no row of theirs after them, unless a
/// controller that was removed speaks again.
pub const PRUNED: [&str; 3] = [
    "streamspace.decision.dead_letter_pruned",
    "streamspace.decision.job_pruned",
    "streamspace.decision.controller_removed",
];

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
    Database(#[from] ReadError),
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

/// The log of one entity, folded a row at a time.
#[derive(Debug, Default)]
pub struct Folding {
    last: Option<i64>,
    gone: bool,
    facts: Map<String, Value>,
}

impl Folding {
    /// Takes the next row.
    ///
    /// # Errors
    /// [`Error::Gap`] where this is not the next row.
    pub fn take(&mut self, entity: &str, seq: i64, subject: &str, changes: Option<Value>) -> Result<(), Error> {
        let snapshot = subject == SNAPSHOT;
        let at = self.last.map_or(1, |last| last + 1);
        if seq != at && !(snapshot && self.last.is_none()) {
            return Err(Error::Gap { entity: entity.to_owned(), at });
        }
        if let Some(Value::Object(changes)) = changes {
            if snapshot { self.facts = changes } else { self.facts.extend(changes) }
        }
        self.last = Some(seq);
        self.gone = PRUNED.contains(&subject);
        Ok(())
    }

    /// The place of the last row that was taken.
    #[must_use]
    pub const fn last(&self) -> Option<i64> {
        self.last
    }

    /// Whether the record went, and no row is left.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.gone
    }

    /// What the rows add up to, by the names of their columns.
    #[must_use]
    pub fn facts(self) -> Map<String, Value> {
        self.facts
    }
}

/// The rows of an entity's log, in fold order.
pub(crate) async fn log(db: &impl ConnectionTrait, entity: &str) -> Result<Vec<event::Model>, DbErr> {
    let log = event::Entity::find().filter(event::Column::Entity.eq(entity));
    log.order_by_asc(event::Column::EntitySeq).all(db).await
}

/// The facts that the log of an entity adds up to, by the names of their columns.
///
/// # Errors
/// [`Error`].
pub async fn fold(db: &impl ConnectionTrait, entity: &str) -> Result<Map<String, Value>, Error> {
    let mut folding = Folding::default();
    for row in log(db, entity).await? {
        folding.take(entity, row.entity_seq, &row.subject, row.changes.map(Value::from))?;
    }
    Ok(folding.facts())
}
