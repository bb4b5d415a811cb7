//! What is asked of sessions: how a request becomes a piece of work, and the writer's answer the session.

use uuid::Uuid;

use crate::Engine;
use crate::amendment::{self, AmendSession};
use crate::request::{CreateSession, Error, FieldError, check, mistakes};
use crate::store::session;
use crate::watched::Watch;
use crate::writer::{Amend, Ask, AskSession, Error as WriteError, Stands};

impl Engine {
    /// Creates a session; answers once it is durable.
    ///
    /// # Errors
    /// [`Error`]: invalid fields, or why it could not be written.
    pub async fn create_session(&self, request: CreateSession) -> Result<session::Model, Error> {
        self.create(request, |_| {}).await
    }

    /// The same for a caller who waits for what becomes of it: it is watched from before its commit, so that nothing is missed.
    ///
    /// # Errors
    /// As for [`Engine::create_session`].
    pub async fn create_and_watch(&self, request: CreateSession) -> Result<(session::Model, Watch), Error> {
        let mut watch = None;
        let row = self.create(request, |id| watch = Some(self.watch_session(id))).await?;
        let same = watch.filter(|watch| watch.session_id() == row.session_id);
        let watch = same.unwrap_or_else(|| self.watch_session(row.session_id)); // an answer that was kept: of a session that was there
        Ok((row, watch))
    }

    /// What is wrong with the values of a request that is refused anyway, so that the refusal can name them too.
    ///
    /// # Errors
    /// What the database says.
    pub async fn session_mistakes(&self, request: CreateSession) -> Result<Vec<FieldError>, Error> {
        mistakes(check(&self.parts.database.reader, &self.templates, &self.parts.platforms, request).await)
    }

    async fn create(&self, request: CreateSession, coming: impl FnOnce(Uuid)) -> Result<session::Model, Error> {
        let new = async {
            self.room()?;
            let db = &self.parts.database.reader;
            let new = check(db, &self.templates, &self.parts.platforms, request).await?;
            coming(new.session_id);
            Ok::<_, Error>(new)
        };
        self.parts.writer.once(new).await
    }

    /// Asks something of a session; answers once it is durable.
    ///
    /// # Errors
    /// Why it was refused or not written.
    pub async fn ask(&self, id: Uuid, ask: Ask) -> Result<session::Model, WriteError> {
        self.ask_if(id, None, ask).await
    }

    /// Asks something of a session where it stands as is believed.
    ///
    /// # Errors
    /// [`WriteError::Moved`] where it does not, else as for [`Engine::ask`].
    pub async fn ask_if(&self, id: Uuid, stands: Option<Stands>, ask: Ask) -> Result<session::Model, WriteError> {
        let starts = matches!(ask, Ask::Wake);
        let prepared = async {
            if starts {
                self.room()?;
            }
            Ok(AskSession { session: id, stands, ask })
        };
        self.parts.writer.once(prepared).await
    }

    /// Changes what is attached to a session, where it stands as is believed; answers once it is durable.
    ///
    /// # Errors
    /// Why it was refused or not written.
    pub async fn amend_session(
        &self,
        id: Uuid,
        stands: Option<Stands>,
        change: AmendSession,
    ) -> Result<session::Model, WriteError> {
        let change = amendment::check(change)?;
        self.parts.writer.once(async { Ok(Amend { session: id, stands, change }) }).await
    }

    /// Waits for a session to change.
    #[must_use]
    pub fn watch_session(&self, id: Uuid) -> Watch {
        Watch::of(id, self.parts.wakes.clone())
    }
}
