//! Dead letters: they are read, replayed, edited and discarded.

use uuid::Uuid;

use super::{Action, Error, UseCases};
use crate::causes::{self, Cause, Place};
use crate::edit::NewEdit;
use crate::queries::{self, LetterFilter, ListedLetter, Position, Seek};
use crate::store::dead_letter;
use crate::writer::Outlook;

impl UseCases<'_> {
    /// A page of dead letters, newest first.
    ///
    /// # Errors
    /// Why it was not read or not done; so for the others.
    pub async fn list_dead_letters(
        &self,
        filter: &LetterFilter,
        seek: Option<Seek<Position>>,
        limit: u64,
    ) -> Result<Vec<ListedLetter>, Error> {
        self.may(Action::ManageDeadLetters)?;
        Ok(queries::dead_letters(self.engine.reader(), filter, seek, limit).await?)
    }

    /// A page of the causes of dead letters.
    #[allow(clippy::missing_errors_doc)]
    pub async fn causes(&self, filter: &LetterFilter, after: Option<Place>, limit: u64) -> Result<Vec<Cause>, Error> {
        self.may(Action::ManageDeadLetters)?;
        Ok(causes::list(self.engine.reader(), filter, after, limit).await?)
    }

    /// One dead letter; and why it can only be read and discarded, where that is so.
    #[allow(clippy::missing_errors_doc)]
    pub async fn dead_letter(&self, id: Uuid) -> Result<(dead_letter::Model, Option<String>), Error> {
        self.may(Action::ManageDeadLetters)?;
        let row = queries::dead_letter(self.engine.reader(), id).await?;
        let row = row.ok_or_else(|| Error::not_found("dead letter", id))?;
        let foreign = self.engine.foreign(&row).await?;
        Ok((row, foreign))
    }

    /// Replays a dead letter.
    #[allow(clippy::missing_errors_doc)]
    pub async fn replay(&self, id: Uuid) -> Result<dead_letter::Model, Error> {
        self.may(Action::ManageDeadLetters)?;
        Ok(self.engine.replay(id, self.by()).await?)
    }

    /// What a replay would do now; nothing is written.
    #[allow(clippy::missing_errors_doc)]
    pub async fn replay_outlook(&self, id: Uuid) -> Result<(dead_letter::Model, Outlook), Error> {
        self.may(Action::ManageDeadLetters)?;
        Ok(self.engine.replay_outlook(id).await?)
    }

    /// Corrects a report that could not be read, and sends it.
    #[allow(clippy::missing_errors_doc)]
    pub async fn edit_letter(&self, id: Uuid, new: NewEdit) -> Result<dead_letter::Model, Error> {
        self.may(Action::ManageDeadLetters)?;
        Ok(self.engine.edit_letter(id, new).await?)
    }

    /// The letter as the correction would leave it; nothing is written.
    #[allow(clippy::missing_errors_doc)]
    pub async fn edit_outlook(&self, id: Uuid, new: NewEdit) -> Result<dead_letter::Model, Error> {
        self.may(Action::ManageDeadLetters)?;
        Ok(self.engine.edit_outlook(id, new).await?)
    }

    /// Closes a dead letter for good.
    #[allow(clippy::missing_errors_doc)]
    pub async fn discard(&self, id: Uuid, why: String) -> Result<dead_letter::Model, Error> {
        self.may(Action::ManageDeadLetters)?;
        Ok(self.engine.discard(id, why, self.by()).await?)
    }
}
