//! Controllers, and what operators decide about them.

use machine::breaker::Order;

use super::{Action, Error, UseCases};
use crate::queries;
use crate::store::{controller, job};

/// What a controller is shown with.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The time by the clock that everything due goes by, in milliseconds since the epoch.
    pub now_ms: i64,
    /// How many sessions revoked controllers have still to remove, by controller.
    pub owed: Vec<(String, i64)>,
}

impl UseCases<'_> {
    /// Every controller that ever reported, by id.
    ///
    /// # Errors
    /// Why it was not read or not done; so for the others.
    pub async fn controllers(&self) -> Result<Vec<controller::Model>, Error> {
        self.may(Action::ReadCatalog)?;
        Ok(queries::controllers(self.engine.reader()).await?)
    }

    /// One controller.
    #[allow(clippy::missing_errors_doc)]
    pub async fn controller(&self, id: &str) -> Result<controller::Model, Error> {
        self.may(Action::ReadCatalog)?;
        let row = queries::controller(self.engine.reader(), id).await?;
        row.ok_or_else(|| Error::not_found("controller", id))
    }

    /// What controllers are shown with.
    #[allow(clippy::missing_errors_doc)]
    pub async fn surroundings(&self) -> Result<Surroundings, Error> {
        self.may(Action::ReadCatalog)?;
        let owed = queries::owed(self.engine.reader()).await?;
        Ok(Surroundings { now_ms: self.engine.now_ms().await?, owed })
    }

    /// Opens, closes, holds or releases a controller's breaker.
    #[allow(clippy::missing_errors_doc)]
    pub async fn order_breaker(&self, id: &str, order: Order, why: String) -> Result<controller::Model, Error> {
        self.may(Action::OperateControllers)?;
        Ok(self.engine.order_breaker(id, order, why, self.by()).await?)
    }

    /// Takes a controller out of service, and has its sessions move elsewhere; the answer has the job that moves them.
    #[allow(clippy::missing_errors_doc)]
    pub async fn revoke(&self, id: &str, why: String) -> Result<(controller::Model, job::Model), Error> {
        self.may(Action::OperateControllers)?;
        Ok(self.engine.revoke(id, why, self.by()).await?)
    }

    /// Puts a revoked controller back into service.
    #[allow(clippy::missing_errors_doc)]
    pub async fn reinstate(&self, id: &str, why: String) -> Result<controller::Model, Error> {
        self.may(Action::OperateControllers)?;
        Ok(self.engine.reinstate(id, why, self.by()).await?)
    }

    /// Lets a newcomer serve its platform.
    #[allow(clippy::missing_errors_doc)]
    pub async fn admit(&self, id: &str, why: String) -> Result<controller::Model, Error> {
        self.may(Action::OperateControllers)?;
        Ok(self.engine.admit(id, why, self.by()).await?)
    }

    /// Forgets what identifies a controller's host.
    #[allow(clippy::missing_errors_doc)]
    pub async fn reset(&self, id: &str, why: String) -> Result<controller::Model, Error> {
        self.may(Action::OperateControllers)?;
        Ok(self.engine.reset(id, why, self.by()).await?)
    }

    /// Removes a controller that is gone for good.
    #[allow(clippy::missing_errors_doc)]
    pub async fn remove(&self, id: &str, why: String) -> Result<controller::Model, Error> {
        self.may(Action::OperateControllers)?;
        Ok(self.engine.remove(id, why, self.by()).await?)
    }
}
