//! What happens when an operator replays a dead letter.
//!
//! A command that failed is not sent again as it was: its session or application is asked anew for what is desired now, at a new
//! generation. A message that could not be read goes back, byte for byte, to the subject that it was on. One letter and a job
//! over many take the same way.

use streams::publisher::{Acked, Outgoing, Publisher};
use streams::subject;
use uuid::Uuid;

use crate::Engine;
use crate::parts::Parts;
use crate::projector::illegible;
use crate::request::FieldError;
use crate::store::canary::Sent;
use crate::store::dead_letter;
use crate::writer::{self, Commanded, Done, Outlook, Replay, Work};

/// Why a dead letter was not replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such dead letter.
    #[error("there is no dead letter {0}")]
    NotFound(Uuid),
    /// The world moved on since.
    #[error("{0}")]
    Superseded(String),
    /// It was refused, or could not be written.
    #[error(transparent)]
    Writer(#[from] writer::Error),
    /// It could not be published.
    #[error("the message could not be published: {0}")]
    Publish(#[from] streams::publisher::Error),
    /// It could not be read.
    #[error("the dead letter cannot be read now: {0}")]
    Database(#[from] sea_orm::DbErr),
}

impl Error {
    /// The stable word for its sort, as the types of problems of the API are named.
    pub(crate) fn problem(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::Superseded(_) => "superseded",
            Self::Writer(error) => error.problem(),
            Self::Publish(_) | Self::Database(_) => "unavailable",
        }
    }
}

impl Engine {
    /// Replays a dead letter in the name of `by`; see [`Error`] for when it cannot be.
    ///
    /// # Errors
    /// Why it was not replayed.
    pub async fn replay(&self, id: Uuid, by: String) -> Result<dead_letter::Model, Error> {
        let work = async {
            let letter = open(&self.parts, id).await?;
            let how = prepare(&self.parts, Some(&self.publisher), &letter).await?;
            Ok::<_, Error>(Work::Replay { letter: id, how, by })
        };
        match self.parts.writer.once(work).await? {
            Done::DeadLetter(row) => Ok(*row),
            _ => Err(Error::NotFound(id)),
        }
    }

    /// What a replay of a dead letter would do now: the letter, and what would become of what it is about. Nothing is written.
    ///
    /// # Errors
    /// Why it would not be replayed.
    pub async fn replay_outlook(&self, id: Uuid) -> Result<(dead_letter::Model, Outlook), Error> {
        let letter = open(&self.parts, id).await?;
        let how = prepare(&self.parts, None, &letter).await?;
        match self.parts.writer.submit(Work::TryReplay { letter: id, how }).await? {
            Done::Outlook(outlook) => Ok((letter, *outlook)),
            _ => Err(Error::NotFound(id)),
        }
    }
}

/// The letter, where it is open.
pub(crate) async fn open(parts: &Parts, id: Uuid) -> Result<dead_letter::Model, Error> {
    let letter = crate::dead_letters::get(&parts.database.reader, id).await?.ok_or(Error::NotFound(id))?;
    if letter.status != "open" {
        return Err(Error::Superseded(format!("dead letter {id} is {} already", letter.status)));
    }
    Ok(letter)
}

/// What the writer is to do about a letter; a message goes out here, unless nobody is given to publish it.
pub(crate) async fn prepare(
    parts: &Parts,
    publisher: Option<&Publisher>,
    letter: &dead_letter::Model,
) -> Result<Replay, Error> {
    if letter.source.starts_with("command:") {
        return ask_again(parts, letter).await;
    }
    let known = subject::parse_report(&letter.subject).is_some() || subject::parse_command(&letter.subject).is_some();
    if !known {
        let why = format!("nothing listens durably on {}; discard it instead", letter.subject);
        return Err(Error::Superseded(why));
    }
    let Some(publisher) = publisher else { return Ok(Replay::Sent { note: again(letter), sent: None }) };
    let ack = publish_again(publisher, letter).await?;
    let note = format!("published again as sequence {} of {}", ack.sequence, ack.stream);
    Ok(Replay::Sent { note, sent: Some(Sent::Message { stream: ack.stream, sequence: ack.sequence }) })
}

async fn ask_again(parts: &Parts, letter: &dead_letter::Model) -> Result<Replay, Error> {
    let event_id = letter.event_id.unwrap_or_default();
    let moved_on = |why: &str| Error::Superseded(format!("the command was overtaken: {why}"));
    let command = crate::queries::command(&parts.database.reader, event_id).await?;
    let command = command.ok_or_else(|| moved_on("it left the log"))?;
    let of = Commanded::of(&command.entity).ok_or_else(|| moved_on("it belongs to no session and no application"))?;
    Ok(Replay::Ask { of, generation: command.generation })
}

/// What would become of a message once it is back.
fn again(letter: &dead_letter::Model) -> String {
    let wrong = subject::parse_report(&letter.subject).and_then(|_| illegible(&letter.subject, &letter.payload));
    let told = |wrong: FieldError| format!("; it would be parked again: {} {}", wrong.field, wrong.rule);
    wrong.map(told).unwrap_or_default()
}

async fn publish_again(publisher: &Publisher, letter: &dead_letter::Model) -> Result<Acked, Error> {
    let outgoing = Outgoing {
        subject: letter.subject.clone(),
        message_id: format!("replay:{}:{}", letter.id, letter.updated_ms),
        traceparent: None,
        headers: Vec::new(),
        payload: letter.payload.clone().into(),
    };
    Ok(publisher.publish(outgoing).await?)
}
