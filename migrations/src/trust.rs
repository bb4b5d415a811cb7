//! Which connections of a pool may be used again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnectionMetadata;
use sqlx::{Connection, Database};

/// Between the pool's look at a connection's age and ours.
const SLACK: Duration = Duration::from_millis(1);

/// The moment at which the connections of a pool were last distrusted: those that are older are closed, not used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust(Arc<Mutex<Option<Instant>>>);

impl Trust {
    /// Every connection that is open now goes, at the latest when somebody would use it next.
    pub(crate) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn holds(&self, age: Duration) -> bool {
        let ended = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.is_none_or(|at| age + SLACK < at.elapsed())
    }

    /// Whether a connection that nobody uses now may be used again: it is trusted, and its last transaction has ended. A rollback
    /// that was asked for and failed, because the database had rolled back by itself, leaves the client inside a transaction that
    /// is none: the next one would be a savepoint there, and never be committed.
    pub(crate) async fn admits<C>(&self, connection: &mut C, age: &PoolConnectionMetadata) -> Result<bool, sqlx::Error>
    where
        C: Connection<Database: Database>,
    {
        if !self.holds(age.age) {
            return Ok(false);
        }
        if connection.is_in_transaction() {
            connection.ping().await?; // its rollback is on its way
        }
        Ok(!connection.is_in_transaction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_that_were_opened_after_the_error_are_trusted() {
        let trust = Trust::default();
        assert!(trust.holds(Duration::from_secs(3600)), "nothing has happened");
        trust.end();
        assert!(!trust.holds(Duration::from_secs(1)) && !trust.holds(Duration::ZERO), "the moment of the error itself");
        std::thread::sleep(4 * SLACK);
        assert!(trust.holds(Duration::ZERO) && !trust.holds(Duration::from_secs(1)));
    }
}
