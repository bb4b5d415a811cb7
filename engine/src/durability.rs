//! What happens when the database stops keeping what it is given: a full disk, an I/O error, a connection that was lost amid a commit.
//!
//! From the first error whose extent nobody knows, nothing is accepted any more. It goes on by itself once the writer has committed a
//! row over a new connection and a reader has seen it; the writer tries that four times a second. Besides, about once a second what the
//! writer has committed is held against what a reader sees, before anybody is answered: a commit that only the writer believes in is
//! noticed whatever its cause.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement};
use uuid::Uuid;

use crate::store::event;

/// Between two tries to write again.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);
/// Between two comparisons of what was written and what is seen.
const EVERY: Duration = Duration::from_secs(1);
/// The row of `meta` that is written to prove that something can be; a number that grows.
const PROBE: &str = "writer_probe";

/// Why nothing is accepted now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Suspended {
    /// The database did not take a change, and has not taken a trial one since.
    #[error("the database has not accepted changes for {} s: {reason}", since.elapsed().as_secs())]
    Refused {
        /// When that began.
        since: Instant,
        /// What the database said first.
        reason: Arc<str>,
    },
    /// The writer has committed what a reader does not see.
    #[error("readers do not see what was committed: the log ends at {seen}, and {written} was written")]
    Unseen {
        /// The id of the newest event that the writer is known to have committed.
        written: i64,
        /// The id of the newest event that a reader sees.
        seen: i64,
    },
    /// It cannot be told now.
    #[error("the database does not answer: {0}")]
    Unknown(Arc<str>),
}

/// Whether the database keeps what it is given, as far as this engine knows.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    suspended: Mutex<Option<Suspended>>,
    /// An event that was committed and that a reader has seen since.
    written: AtomicI64,
    compared: Mutex<Option<Instant>>,
    probed: Mutex<Option<Instant>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // every change is one assignment
}

/// Whether `every` has passed since this was last true.
fn is_due(last: &Mutex<Option<Instant>>, every: Duration) -> bool {
    let mut last = locked(last);
    let due = last.is_none_or(|at| at.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

impl Durability {
    pub(crate) fn suspended(&self) -> Option<Suspended> {
        locked(&self.suspended).clone()
    }

    /// Nothing is accepted from here on.
    pub(crate) fn suspend(&self, error: &DbErr) {
        let mut suspended = locked(&self.suspended);
        if suspended.is_none() {
            tracing::error!(%error, "changes are refused until the database keeps them again");
            *suspended = Some(Suspended::Refused { since: Instant::now(), reason: error.to_string().into() });
        }
    }

    pub(crate) fn resume(&self) {
        if let Some(Suspended::Refused { since, .. }) = locked(&self.suspended).take() {
            tracing::info!(for_s = since.elapsed().as_secs(), "the database keeps changes again");
        }
    }

    /// Whether it is time to try again.
    pub(crate) fn may_probe(&self) -> bool {
        is_due(&self.probed, PAUSE)
    }

    /// The id of an event of the present transaction, where it is time to compare.
    pub(crate) async fn sample(
        &self,
        tx: &impl ConnectionTrait,
        witness: Option<(Uuid, &'static str)>,
    ) -> Result<Option<i64>, DbErr> {
        match witness.filter(|_| is_due(&self.compared, EVERY)) {
            Some(witness) => id_of(tx, witness).await,
            None => Ok(None),
        }
    }

    /// Holds a sample that was committed against what a reader sees. A reader that does not answer says nothing.
    pub(crate) async fn compare(&self, reader: &impl ConnectionTrait, sample: Option<i64>) -> Result<(), Suspended> {
        let Some(written) = sample else { return Ok(()) };
        match newest(reader).await {
            Ok(seen) if seen < written => Err(Suspended::Unseen { written, seen }),
            Ok(_) => {
                self.written.fetch_max(written, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Whether changes are accepted, and what was written is seen.
    pub(crate) async fn check(&self, reader: &impl ConnectionTrait) -> Result<(), Suspended> {
        if let Some(suspended) = self.suspended() {
            return Err(suspended);
        }
        let written = self.written.load(Ordering::Relaxed);
        match newest(reader).await {
            Ok(seen) if seen < written => Err(Suspended::Unseen { written, seen }),
            Ok(_) => Ok(()),
            Err(error) => Err(Suspended::Unknown(error.to_string().into())),
        }
    }
}

/// The id of the event by which a commit is recognised, where it is there.
pub(crate) async fn id_of(
    db: &impl ConnectionTrait,
    (event_id, direction): (Uuid, &'static str),
) -> Result<Option<i64>, DbErr> {
    let id = event::Entity::find().select_only().column(event::Column::Id);
    let id = id.filter(event::Column::EventId.eq(event_id)).filter(event::Column::Direction.eq(direction));
    id.into_tuple().one(db).await
}

/// Where the log ends. Pruning never takes its newest row, so this does not go back.
async fn newest(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let id = event::Entity::find().select_only().column(event::Column::Id).order_by_desc(event::Column::Id).limit(1);
    Ok(id.into_tuple().one(db).await?.unwrap_or(0))
}

/// Writes the trial row; answers with what stands there now.
pub(crate) async fn write_probe(tx: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let sql = format!(
        "INSERT INTO meta (key, value) VALUES ('{PROBE}', '1') ON CONFLICT (key) \
         DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT) RETURNING value"
    );
    number(tx.query_one_raw(Statement::from_string(tx.get_database_backend(), sql)).await?)
}

/// What a reader sees of the trial row.
pub(crate) async fn read_probe(reader: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let sql = format!("SELECT value FROM meta WHERE key = '{PROBE}'");
    number(reader.query_one_raw(Statement::from_string(reader.get_database_backend(), sql)).await?)
}

fn number(row: Option<sea_orm::QueryResult>) -> Result<i64, DbErr> {
    let text: String = row.map_or(Ok(String::new()), |row| row.try_get("", "value"))?;
    Ok(text.parse().unwrap_or(0))
}

impl crate::Engine {
    /// Whether what is accepted now is kept: the database takes changes, and readers see what was committed.
    ///
    /// # Errors
    /// [`Suspended`] says why not. It passes by itself.
    pub async fn durable(&self) -> Result<(), Suspended> {
        self.parts.writer.durability().check(&self.parts.database.reader).await
    }
}
