//! What happens when an operator replays a dead letter.
//!
//! A command is never sent again as it was: its session or application is asked anew for what is desired now, at a new generation, and
//! only where the log holds that command. A report that an engine could not read, and parked, goes back byte for byte to the subject
//! that it was on, where its sender is checked again. Whatever else lies in the dead-letter stream is foreign: anyone who may publish
//! may have put it there. One letter and a job over many take the same way.

use sea_orm::EntityTrait;
use streams::publisher::{Acked, Outgoing, Publisher};
use streams::subject;
use uuid::Uuid;

use crate::Engine;
use crate::ReadError;
use crate::dead_letters::OWN;
use crate::parts::Parts;
use crate::projector::illegible;
use crate::request::FieldError;
use crate::store::canary::Sent;
use crate::store::{cleanup, dead_letter, session};
use crate::writer::{self, Commanded, Outlook, Replay, ReplayLetter, TryReplay};

/// Why a dead letter was not replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such dead letter.
    #[error("there is no dead letter {0}")]
    NotFound(Uuid),
    /// It is not what it claims to be, and can only be read and discarded.
    #[error("dead letter {id} is foreign: {why}; it can be read and discarded, nothing else")]
    Foreign {
        /// Which.
        id: Uuid,
        /// How that is known.
        why: String,
    },
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
    Database(#[from] ReadError),
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

impl Error {
    /// The stable word for its sort, as the types of problems of the API are named.
    pub(crate) fn problem(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::Foreign { .. } => "conflict",
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
        let request = async {
            let letter = open(&self.parts, id).await?;
            let how = prepare(&self.parts, Some(&self.publisher), &letter).await?;
            Ok::<_, Error>(ReplayLetter { letter: id, how, by })
        };
        self.parts.writer.once(request).await
    }

    /// Why a dead letter can only be read and discarded, where that is so.
    ///
    /// # Errors
    /// What the database says.
    pub async fn foreign(&self, letter: &dead_letter::Model) -> Result<Option<String>, Error> {
        foreign(&self.parts, letter).await
    }

    /// What a replay of a dead letter would do now: the letter, and what would become of what it is about. Nothing is written.
    ///
    /// # Errors
    /// Why it would not be replayed.
    pub async fn replay_outlook(&self, id: Uuid) -> Result<(dead_letter::Model, Outlook), Error> {
        let letter = open(&self.parts, id).await?;
        let how = prepare(&self.parts, None, &letter).await?;
        Ok((letter, self.parts.writer.submit(TryReplay { letter: id, how }).await?))
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
    if is_of_command(letter) {
        return ask_again(parts, letter).await;
    }
    if subject::parse_report(&letter.subject).is_none() {
        let why = format!("nothing listens durably on {}; discard it instead", letter.subject);
        return Err(Error::Superseded(why));
    }
    verified(letter)?;
    let Some(publisher) = publisher else { return Ok(Replay::Sent { note: again(letter), sent: None }) };
    let ack = publish_again(publisher, letter).await?;
    let note = format!("published again as sequence {} of {}", ack.sequence, ack.stream);
    Ok(Replay::Sent { note, sent: Some(Sent::Message { stream: ack.stream, sequence: ack.sequence }) })
}

/// Why a letter can only be read and discarded, where that is so: it is not what it claims to be.
pub(crate) async fn foreign(parts: &Parts, letter: &dead_letter::Model) -> Result<Option<String>, Error> {
    let known = if is_of_command(letter) {
        ask_again(parts, letter).await.map(drop)
    } else if subject::parse_report(&letter.subject).is_some() {
        verified(letter)
    } else {
        Ok(())
    };
    match known {
        Err(Error::Foreign { why, .. }) => Ok(Some(why)),
        Err(error @ Error::Database(_)) => Err(error),
        _ => Ok(None),
    }
}

/// Whoever hears such a message carries it out, so its bytes never go out again.
fn is_of_command(letter: &dead_letter::Model) -> bool {
    letter.source.starts_with(OWN) || subject::is_command(&letter.subject)
}

/// A report speaks for the controller that its subject names. Only what an engine has parked itself was on that subject, where the
/// server's permissions and the engine's own checks hold its sender.
pub(crate) fn verified(letter: &dead_letter::Model) -> Result<(), Error> {
    if letter.verified {
        return Ok(());
    }
    let why =
        format!("no engine of this installation parked it, so nothing says that it was ever on {}", letter.subject);
    Err(Error::Foreign { id: letter.id, why })
}

/// A command's letter is worth no more than the log's own word of that command: what it is about is asked anew for what is desired
/// now. Where the log holds no such command, the letter is foreign.
async fn ask_again(parts: &Parts, letter: &dead_letter::Model) -> Result<Replay, Error> {
    let moved_on = |why: &str| Error::Superseded(format!("the command was overtaken: {why}"));
    let foreign = |why: String| Error::Foreign { id: letter.id, why };
    let Some(event_id) = letter.event_id else { return Err(foreign("it names no event".into())) };
    let own = letter.source.starts_with(OWN);
    let Some(command) = crate::queries::command(&parts.database.reader, event_id).await? else {
        let unknown = || foreign(format!("the log holds no command {event_id}"));
        return Err(if own { moved_on("it left the log") } else { unknown() });
    };
    if !own && command.subject != letter.subject {
        return Err(foreign(format!("command {event_id} went to {}, not to {}", command.subject, letter.subject)));
    }
    let of = Commanded::of(&command.entity).ok_or_else(|| moved_on("it belongs to no session and no application"))?;
    if !is_about(parts, letter, &command.entity, of).await? {
        let claimed = letter.entity.as_deref().unwrap_or("nothing");
        return Err(foreign(format!("command {event_id} is about {}, and it is about {claimed}", command.entity)));
    }
    Ok(Replay::Ask { of, generation: command.generation })
}

/// Whether a letter is about what its command is about. The payload of a clean-up's command names the session.
async fn is_about(parts: &Parts, letter: &dead_letter::Model, entity: &str, of: Commanded) -> Result<bool, Error> {
    let claimed = letter.entity.as_deref();
    if claimed == Some(entity) {
        return Ok(true);
    }
    let Commanded::Debt(id) = of else { return Ok(false) };
    let row = cleanup::Entity::find_by_id(id).one(&parts.database.reader).await?;
    Ok(row.is_some_and(|row| claimed == Some(session::Model::entity(row.session_id).as_str())))
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
