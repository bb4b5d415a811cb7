//! Sessions: they are created, read, changed, and asked to run, sleep or go.

use uuid::Uuid;

use super::{Action, Error, Resource, UseCases, authorize};
use crate::amendment::AmendSession;
use crate::history;
use crate::queries::{self, Rows, Seek, SessionFilter, SessionPosition, SessionSort};
use crate::request::{CreateSession, FieldError};
use crate::store::{event, session};
use crate::watched::Watch;
use crate::writer::{Ask, Stands};

impl UseCases<'_> {
    /// Creates a session; answers once it is durable.
    ///
    /// # Errors
    /// Invalid fields, or why it could not be written; so for the others where nothing else is said.
    pub async fn create_session(&self, request: CreateSession) -> Result<session::Model, Error> {
        self.may_create(&request)?;
        Ok(self.engine.create_session(request).await?)
    }

    /// The same for a caller who waits for what becomes of it: it is watched from before its commit, so that nothing is missed.
    #[allow(clippy::missing_errors_doc)]
    pub async fn create_and_watch(&self, request: CreateSession) -> Result<(session::Model, Watch), Error> {
        self.may_create(&request)?;
        Ok(self.engine.create_and_watch(request).await?)
    }

    /// What is wrong with the values of a request that is refused anyway, so that the refusal can name them too.
    #[allow(clippy::missing_errors_doc)]
    pub async fn session_mistakes(&self, request: CreateSession) -> Result<Vec<FieldError>, Error> {
        self.may_create(&request)?;
        Ok(self.engine.session_mistakes(request).await?)
    }

    fn may_create(&self, request: &CreateSession) -> Result<(), Error> {
        Ok(authorize(&self.caller, Action::CreateSession, &Resource::OfUser(Some(&request.user_id)))?)
    }

    /// A page of sessions.
    #[allow(clippy::missing_errors_doc)]
    pub async fn list_sessions(
        &self,
        filter: &SessionFilter,
        sort: SessionSort,
        seek: Option<Seek<SessionPosition>>,
        limit: u64,
    ) -> Result<Vec<session::Model>, Error> {
        authorize(&self.caller, Action::ListSessions, &Resource::OfUser(filter.user_id.as_deref()))?;
        Ok(queries::sessions(self.engine.reader(), filter, sort, seek, limit).await?)
    }

    /// One session.
    #[allow(clippy::missing_errors_doc)]
    pub async fn session(&self, id: Uuid) -> Result<session::Model, Error> {
        let row = queries::session(self.engine.reader(), id).await?;
        let user = row.as_ref().map(|row| row.user_id.as_str());
        authorize(&self.caller, Action::UseSession, &Resource::Session(id, user))?;
        row.ok_or_else(|| Error::not_found("session", id))
    }

    /// One session as it was at a time, in milliseconds since the epoch.
    #[allow(clippy::missing_errors_doc)]
    pub async fn session_at(&self, id: Uuid, at_ms: i64) -> Result<session::Model, Error> {
        self.may_use(id).await?;
        let row = history::session_at(self.engine.reader(), id, at_ms).await?;
        row.ok_or_else(|| Error::not_found("session", id))
    }

    /// Asks something of a session where it stands as the caller believes; answers once it is durable.
    #[allow(clippy::missing_errors_doc)]
    pub async fn ask_session(&self, id: Uuid, stands: Option<Stands>, ask: Ask) -> Result<session::Model, Error> {
        self.may_use(id).await?;
        Ok(self.engine.ask_if(id, stands, ask).await?)
    }

    /// Changes what is attached to a session where it stands as the caller believes; answers once it is durable.
    #[allow(clippy::missing_errors_doc)]
    pub async fn amend_session(
        &self,
        id: Uuid,
        stands: Option<Stands>,
        change: AmendSession,
    ) -> Result<session::Model, Error> {
        self.may_use(id).await?;
        Ok(self.engine.amend_session(id, stands, change).await?)
    }

    /// Waits for a session to change.
    #[allow(clippy::missing_errors_doc)]
    pub async fn watch_session(&self, id: Uuid) -> Result<Watch, Error> {
        self.may_use(id).await?;
        Ok(self.engine.watch_session(id))
    }

    /// A page of a session's log, in its order.
    #[allow(clippy::missing_errors_doc)]
    pub async fn session_events(&self, id: Uuid, after: i64, limit: u64) -> Result<Rows<event::Model>, Error> {
        self.may_use(id).await?;
        let reader = self.engine.reader();
        let rows = queries::events_page(reader, &session::Model::entity(id), after, limit).await?;
        if rows.rows.is_empty() && queries::session(reader, id).await?.is_none() {
            return Err(Error::not_found("session", id));
        }
        Ok(rows)
    }
}
