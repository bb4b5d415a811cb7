//! Jobs: actions on many items.

use uuid::Uuid;

use super::{Action, Error, UseCases};
use crate::jobs::NewJob;
use crate::queries::{self, Position, Seek};
use crate::store::job;

impl UseCases<'_> {
    /// Creates a job; answers once it is durable.
    ///
    /// # Errors
    /// Why it was not written or not read; so for the others.
    pub async fn create_job(&self, new: NewJob) -> Result<job::Model, Error> {
        self.may(Action::ManageJobs)?;
        Ok(self.engine.create_job(new).await?)
    }

    /// A page of jobs, newest first; by status and kind where given.
    #[allow(clippy::missing_errors_doc)]
    pub async fn list_jobs(
        &self,
        status: Option<&str>,
        kind: Option<&str>,
        seek: Option<Seek<Position>>,
        limit: u64,
    ) -> Result<Vec<job::Model>, Error> {
        self.may(Action::ManageJobs)?;
        Ok(queries::jobs(self.engine.reader(), status, kind, seek, limit).await?)
    }

    /// One job.
    #[allow(clippy::missing_errors_doc)]
    pub async fn job(&self, id: Uuid) -> Result<job::Model, Error> {
        self.may(Action::ManageJobs)?;
        let row = queries::job(self.engine.reader(), id).await?;
        row.ok_or_else(|| Error::not_found("job", id))
    }

    /// Ends a job where it stands; what was done stays done.
    #[allow(clippy::missing_errors_doc)]
    pub async fn cancel_job(&self, id: Uuid) -> Result<job::Model, Error> {
        self.may(Action::ManageJobs)?;
        Ok(self.engine.cancel_job(id, self.by()).await?)
    }

    /// Lets a job that halted continue.
    #[allow(clippy::missing_errors_doc)]
    pub async fn resume_job(&self, id: Uuid) -> Result<job::Model, Error> {
        self.may(Action::ManageJobs)?;
        Ok(self.engine.resume_job(id, self.by()).await?)
    }
}
