//! The event log: it is read, traced and watched.

use uuid::Uuid;

use super::{Action, Error, UseCases};
use crate::attempts::{Tried, attempts};
use crate::events::{self, EventFilter};
use crate::fate::Fate;
use crate::feed::{After, Filter, Position, Watcher};
use crate::queries::Rows;
use crate::store::event;

/// Reports of one command that are shown.
const REPORTS: u64 = 200;

/// An event with what became of it.
#[derive(Debug)]
pub struct Story {
    /// The event.
    pub event: event::Model,
    /// The attempts of a command.
    pub attempts: Vec<Tried>,
    /// The reports on it.
    pub reports: Vec<event::Model>,
}

impl UseCases<'_> {
    /// A page of the log of everything, newest first.
    ///
    /// # Errors
    /// Why it was not read; so for the others.
    pub async fn list_events(
        &self,
        filter: &EventFilter,
        after: Option<i64>,
        limit: u64,
    ) -> Result<Rows<event::Model>, Error> {
        self.may(Action::ReadLog)?;
        Ok(events::page(self.engine.reader(), filter, after, limit).await?)
    }

    /// One event with its attempts and reports.
    #[allow(clippy::missing_errors_doc)]
    pub async fn event(&self, event_id: Uuid) -> Result<Story, Error> {
        self.may(Action::ReadLog)?;
        let db = self.engine.reader();
        let event = events::get(db, event_id).await?.ok_or_else(|| Error::not_found("event", event_id))?;
        let reports = events::reports(db, &event, REPORTS).await?;
        let attempts = attempts(db, &event, &reports).await?;
        Ok(Story { event, attempts, reports })
    }

    /// Where an event is now, and how it came there.
    #[allow(clippy::missing_errors_doc)]
    pub async fn fate(&self, event_id: Uuid) -> Result<Fate, Error> {
        self.may(Action::ReadLog)?;
        self.engine.fate(event_id).await?.ok_or_else(|| Error::not_found("event", event_id))
    }

    /// The end of the log as the feed counts it, from which a list that is read now can be followed. It tells nothing of what is
    /// in the log, so every caller may know it.
    #[allow(clippy::missing_errors_doc)]
    pub async fn feed_position(&self) -> Result<Position, Error> {
        Ok(self.engine.feed().position().await?)
    }

    /// Watches the log.
    #[allow(clippy::missing_errors_doc)]
    pub async fn watch_log(&self, filter: Filter, after: Option<After>) -> Result<Watcher, Error> {
        self.may(Action::ReadLog)?;
        Ok(self.engine.feed().watch(filter, after).await?)
    }
}
