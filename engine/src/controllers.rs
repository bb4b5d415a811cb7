//! What happens when an operator takes a controller in hand.

use machine::breaker::Order;
use machine::controller::Event;
use streams::topology;

use crate::Engine;
use crate::jobs::{Kind, NewJob, Pace, What, first_row};
use crate::queries::{self, SessionFilter};
use crate::store::{controller, job};
use crate::writer::{self, ControllerEvent, Operate, Operated, Reinstate, Revocation};

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
        let event = Event::Ordered { order, by, why };
        self.parts.writer.submit(ControllerEvent { controller_id: id.to_owned(), event }).await
    }

    /// Takes a controller out of service in the name of `by`, and has its sessions move elsewhere: the answer is the controller,
    /// and the job that moves them. One that is revoked already answers with the job that it has.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn revoke(
        &self,
        id: &str,
        why: String,
        by: String,
    ) -> Result<(controller::Model, job::Model), writer::Error> {
        let prepared = async {
            let filter = SessionFilter { controller_id: Some(id.to_owned()), ..SessionFilter::default() };
            let what = What::Sessions(filter);
            let total = self.count(&what).await?;
            let new = NewJob {
                kind: Kind::Move,
                what,
                force: false,
                dry_run: false,
                pace: Pace::default(),
                reason: None,
                created_by: by.clone(),
            };
            let job = first_row(new, total);
            Ok::<_, writer::Error>(Revocation { controller_id: id.to_owned(), why, by, job })
        };
        let row = self.parts.writer.once(prepared).await?;
        let job = match row.revoked_job {
            Some(job) => queries::job(self.reader(), job).await?,
            None => None,
        };
        let job =
            job.ok_or_else(|| writer::Error::NotFound { what: "job", name: format!("of the revocation of {id}") })?;
        Ok((row, job))
    }

    /// Puts a revoked controller back into service in the name of `by`. What has moved on stays where it is.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn reinstate(&self, id: &str, why: String, by: String) -> Result<controller::Model, writer::Error> {
        self.parts.writer.submit(Reinstate { controller_id: id.to_owned(), why, by }).await
    }

    /// Lets a controller serve its platform in the name of `by`. One that may already is answered as it is.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn admit(&self, id: &str, why: String, by: String) -> Result<controller::Model, writer::Error> {
        self.operated(id, Operated::Admit, why, by).await
    }

    /// Forgets in the name of `by` what tells a controller's host from others: its protocol, its world and its subject. The next
    /// host that speaks under the id is taken for it.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn reset(&self, id: &str, why: String, by: String) -> Result<controller::Model, writer::Error> {
        self.operated(id, Operated::Reset, why, by).await
    }

    /// Removes a controller that is gone for good, with its consumer, in the name of `by`; answers it as it was.
    ///
    /// # Errors
    /// Why it was not done: it speaks, or something depends on it.
    pub async fn remove(&self, id: &str, why: String, by: String) -> Result<controller::Model, writer::Error> {
        let row = self.operated(id, Operated::Remove, why, by).await?;
        if let Some((platform, id)) = crate::heartbeats::names(&row) {
            let removed = topology::remove_controller_consumer(&self.parts.link.jetstream, &platform, &id).await;
            if let Err(error) = removed {
                tracing::warn!(controller.id = %id, %error, "the consumer of a removed controller is left behind");
            }
        }
        Ok(row)
    }

    async fn operated(
        &self,
        id: &str,
        what: Operated,
        why: String,
        by: String,
    ) -> Result<controller::Model, writer::Error> {
        self.parts.writer.submit(Operate { controller_id: id.to_owned(), what, why, by }).await
    }

    /// The time by the clock that everything due goes by, in milliseconds since the epoch.
    ///
    /// # Errors
    /// What the database says.
    pub async fn now_ms(&self) -> Result<i64, crate::ReadError> {
        Ok(self.parts.clock.now_ms(&self.parts.database.reader).await?)
    }
}
