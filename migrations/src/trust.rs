//! Which connections of a pool may still be used.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnectionMetadata;
use sqlx::{Connection, Database};

/// Tolerance between the pool's measurement of a connection's age and ours.
const SLACK: Duration = Duration::from_millis(1);

/// When the pool's connections were last distrusted: older ones are closed instead of used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust(Arc<Mutex<Option<Instant>>>);

impl Trust {
    /// Distrusts every connection that is open now; each is closed at the latest before its next use.
    pub(crate) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn holds(&self, age: Duration) -> bool {
        let ended = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.is_none_or(|at| age + SLACK < at.elapsed())
    }

    /// Whether an idle connection may be used again: it is trusted, and its last transaction has ended. If a
    /// rollback fails because the database had already rolled back by itself, the client believes that it is
    /// still inside a transaction: the next one would become a savepoint in it, and never be committed.
    pub(crate) async fn admits<C>(&self, connection: &mut C, age: &PoolConnectionMetadata) -> Result<bool, sqlx::Error>
    where
        C: Connection<Database: Database>,
    {
        if !self.holds(age.age) {
            return Ok(false);
        }
        if connection.is_in_transaction() {
            connection.ping().await?; // wait for a pending rollback
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
