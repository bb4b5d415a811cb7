//! Applications.

use uuid::Uuid;

use super::{Action, Error, UseCases};
use crate::InstallApplication;
use crate::queries::{self, ApplicationFilter, Position, Rows, Seek};
use crate::request::FieldError;
use crate::store::{application, event};

impl UseCases<'_> {
    /// Installs an application, or upgrades the one of its name on its platform; answers once that is durable.
    ///
    /// # Errors
    /// Invalid fields, or why it could not be written or read; so for the others.
    pub async fn install(&self, request: InstallApplication) -> Result<application::Model, Error> {
        self.may(Action::ManageApplications)?;
        Ok(self.engine.install(request).await?)
    }

    /// What is wrong with the values of a request that is refused anyway, so that the refusal can name them too.
    #[allow(clippy::missing_errors_doc)]
    pub async fn install_mistakes(&self, request: InstallApplication) -> Result<Vec<FieldError>, Error> {
        self.may(Action::ManageApplications)?;
        Ok(self.engine.install_mistakes(request).await?)
    }

    /// Uninstalls an application; `force`: also while sessions use its template. Answers once that is durable.
    #[allow(clippy::missing_errors_doc)]
    pub async fn uninstall(&self, id: Uuid, force: bool) -> Result<application::Model, Error> {
        self.may(Action::ManageApplications)?;
        Ok(self.engine.uninstall(id, force).await?)
    }

    /// A page of applications, newest first.
    #[allow(clippy::missing_errors_doc)]
    pub async fn list_applications(
        &self,
        filter: &ApplicationFilter,
        seek: Option<Seek<Position>>,
        limit: u64,
    ) -> Result<Rows<application::Model>, Error> {
        self.may(Action::ManageApplications)?;
        Ok(queries::applications(self.engine.reader(), filter, seek, limit).await?)
    }

    /// One application.
    #[allow(clippy::missing_errors_doc)]
    pub async fn application(&self, id: Uuid) -> Result<application::Model, Error> {
        self.may(Action::ManageApplications)?;
        let row = queries::application(self.engine.reader(), id).await?;
        row.ok_or_else(|| Error::not_found("application", id))
    }

    /// How many living sessions use the templates of applications: each a template's name and a platform, with its count.
    #[allow(clippy::missing_errors_doc)]
    pub async fn application_users(&self, rows: &[application::Model]) -> Result<Vec<(String, String, i64)>, Error> {
        self.may(Action::ManageApplications)?;
        let names = rows.iter().map(|row| row.template_name.as_str());
        Ok(queries::in_use(self.engine.reader(), names).await?)
    }

    /// A page of an application's log, in its order.
    #[allow(clippy::missing_errors_doc)]
    pub async fn application_events(&self, id: Uuid, after: i64, limit: u64) -> Result<Rows<event::Model>, Error> {
        self.may(Action::ManageApplications)?;
        let reader = self.engine.reader();
        let rows = queries::events_page(reader, &application::Model::entity(id), after, limit).await?;
        if rows.rows.is_empty() && queries::application(reader, id).await?.is_none() {
            return Err(Error::not_found("application", id));
        }
        Ok(rows)
    }
}
