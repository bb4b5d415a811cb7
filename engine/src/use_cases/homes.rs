//! Persistent homes and the logs of sessions, which controllers keep.

use streams::wire::LogEnd;
use uuid::Uuid;

use super::{Action, Error, Resource, UseCases, authorize};
use crate::questions::Homes;

impl UseCases<'_> {
    /// The end of a session's log, with the controller that it is from.
    ///
    /// # Errors
    /// Why there is no answer; so for the others.
    pub async fn session_log(&self, session: Uuid, bytes: u32) -> Result<(String, LogEnd), Error> {
        self.may_use(session).await?;
        Ok(self.engine.session_log(session, bytes).await?)
    }

    /// The persistent homes of all users, or those of one.
    #[allow(clippy::missing_errors_doc)]
    pub async fn homes(&self, user_id: Option<&str>) -> Result<Homes, Error> {
        authorize(&self.caller, Action::ListHomes, &Resource::OfUser(user_id))?;
        Ok(self.engine.homes(user_id).await?)
    }

    /// Deletes a persistent home that no session has.
    #[allow(clippy::missing_errors_doc)]
    pub async fn delete_home(&self, controller: &str, name: &str) -> Result<(), Error> {
        self.may(Action::DeleteHome)?;
        Ok(self.engine.delete_home(controller, name).await?)
    }
}
