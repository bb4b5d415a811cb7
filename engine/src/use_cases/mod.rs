//! What callers may ask of the engine: a file a noun.
//!
//! The API and the NATS gateway use only this. `engine.on_behalf_of(caller)` gives the use cases of one [`Caller`]; each asks
//! [`authorize`] first, then reads or submits a request to the writer.

mod applications;
mod authorize;
mod caller;
mod controllers;
mod dead_letters;
mod error;
mod events;
mod homes;
mod jobs;
mod platforms;
mod queue;
mod sessions;
mod templates;

pub use authorize::{Action, Denied, Resource, authorize};
pub use caller::{ADMINISTRATOR, Caller, Role, Through};
pub use controllers::Surroundings;
pub use error::Error;
pub use events::Story;

pub use crate::causes::{Cause, Place as CausePlace};
pub use crate::queries::{
    ApplicationFilter, LetterFilter, ListedLetter, PAGE_BYTES, Position, Rows, Seek, SessionFilter, SessionPosition,
    SessionSort, weight,
};
pub use crate::writer::{Ask, Key, Outlook, Outlooks, Stands, WrittenTemplate};

use uuid::Uuid;

use crate::courier::Rebuilt;
use crate::doctor::Report;
use crate::{Engine, queries};

/// The use cases of one caller.
#[derive(Debug)]
pub struct UseCases<'e> {
    engine: &'e Engine,
    caller: Caller,
}

impl Engine {
    /// What `caller` may ask.
    #[must_use]
    pub const fn on_behalf_of(&self, caller: Caller) -> UseCases<'_> {
        UseCases { engine: self, caller }
    }

    /// Whether the database answers.
    pub async fn database_answers(&self) -> bool {
        self.reader().ping().await.is_ok()
    }
}

impl UseCases<'_> {
    /// Whose use cases these are.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Refuses an action on the installation.
    fn may(&self, action: Action) -> Result<(), Error> {
        Ok(authorize(&self.caller, action, &Resource::Installation)?)
    }

    fn by(&self) -> String {
        self.caller.name.clone()
    }

    /// Refuses the use of a session that is not the caller's.
    ///
    /// # Errors
    /// [`Error::Denied`], or why its user cannot be read.
    pub async fn may_use(&self, session: Uuid) -> Result<(), Error> {
        if self.caller.role == Role::Administrator {
            return Ok(authorize(&self.caller, Action::UseSession, &Resource::Session(session, None))?);
        }
        // boxed, because few requests need it and every one would carry it
        let row = Box::pin(queries::session(self.engine.reader(), session)).await?;
        let user = row.as_ref().map(|row| row.user_id.as_str());
        Ok(authorize(&self.caller, Action::UseSession, &Resource::Session(session, user))?)
    }

    /// Declares the streams of commands and reports anew and publishes every open command again.
    ///
    /// # Errors
    /// Why it was not done, or not to its end; then the engine continues by itself as soon as NATS permits.
    pub async fn rebuild_streams(&self, why: String) -> Result<Rebuilt, Error> {
        self.may(Action::RebuildStreams)?;
        Ok(self.engine.rebuild_streams(why, self.by()).await?)
    }

    /// The engine's checks of itself and of what it relies on.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub async fn doctor(&self) -> Result<Report, Error> {
        self.may(Action::Diagnose)?;
        Ok(self.engine.doctor().await)
    }

    /// The background loops of this engine.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn tasks(&self) -> Result<Vec<streams::tasks::Status>, Error> {
        self.may(Action::Diagnose)?;
        Ok(self.engine.tasks().status())
    }
}
