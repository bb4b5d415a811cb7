//! What happens when an operator takes a controller in hand.

use machine::breaker::Order;
use machine::controller::Event;

use crate::Engine;
use crate::store::controller;
use crate::writer::{self, Done, Work};

impl Engine {
    /// Opens, closes, holds or releases a controller's breaker in the name of `by`; answers once that is durable. What holds
    /// already changes nothing.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn order_breaker(
        &self,
        id: &str,
        order: Order,
        why: String,
        by: String,
    ) -> Result<controller::Model, writer::Error> {
        let work = Work::Controller(id.to_owned(), Event::Ordered { order, by, why });
        match self.parts.writer.submit(work).await? {
            Done::Controller(row) => Ok(*row),
            _ => Err(writer::Error::NotFound { what: "controller", name: id.to_owned() }),
        }
    }

    /// The time by the clock that everything due goes by, in milliseconds since the epoch.
    ///
    /// # Errors
    /// What the database says.
    pub async fn now_ms(&self) -> Result<i64, sea_orm::DbErr> {
        self.parts.clock.now_ms(&self.parts.database.reader).await
    }
}
