//! The queue: what waits.

use super::{Action, Error, UseCases};
use crate::queue::{self, Place, QueueFilter, Sum, Waiting};

impl UseCases<'_> {
    /// A page of what waits, in the order in which it is sent.
    ///
    /// # Errors
    /// Why it was not read; so for the other.
    pub async fn list_queue(
        &self,
        filter: &QueueFilter,
        after: Option<Place>,
        limit: u64,
    ) -> Result<Vec<Waiting>, Error> {
        self.may(Action::ReadQueue)?;
        Ok(queue::list(self.engine.reader(), filter, after, limit).await?)
    }

    /// How much waits, by platform, controller and what for.
    #[allow(clippy::missing_errors_doc)]
    pub async fn queue_sums(&self) -> Result<Vec<Sum>, Error> {
        self.may(Action::ReadQueue)?;
        Ok(queue::sums(self.engine.reader()).await?)
    }
}
