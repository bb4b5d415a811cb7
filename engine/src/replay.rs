//! What happens when an operator replays a dead letter.
//!
//! A command that failed is not sent again as it was: its session or application is asked anew for what is desired now, at a new generation.
//! A message that could not be read goes back, byte for byte, to the subject that it was on.

use streams::publisher::{Outgoing, Publisher};
use streams::subject;
use uuid::Uuid;

use crate::parts::Parts;
use crate::store::dead_letter;
use crate::writer::{self, ApplicationWork, Ask, Done, Work};

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

pub(crate) async fn replay(parts: &Parts, publisher: &Publisher, id: Uuid) -> Result<dead_letter::Model, Error> {
    let letter = crate::dead_letters::get(&parts.database.reader, id).await?.ok_or(Error::NotFound(id))?;
    if letter.status != "open" {
        return Err(Error::Superseded(format!("dead letter {id} is {} already", letter.status)));
    }
    let note = if letter.source.starts_with("command:") {
        ask_again(parts, &letter).await?
    } else {
        publish_again(publisher, &letter).await?
    };
    match parts.writer.submit(Work::Settle { id, status: "replayed", note: Some(note) }).await? {
        Done::DeadLetter(row) => Ok(*row),
        _ => Err(Error::NotFound(id)),
    }
}

async fn ask_again(parts: &Parts, letter: &dead_letter::Model) -> Result<String, Error> {
    let event_id = letter.event_id.unwrap_or_default();
    let db = &parts.database.reader;
    let moved_on = |why: String| Error::Superseded(format!("the command was overtaken: {why}"));
    let command = crate::queries::command(db, event_id).await?.ok_or_else(|| moved_on("it left the log".into()))?;
    let (what, generation, work) = match command.entity.split_once(':').map(|(kind, id)| (kind, id.parse::<Uuid>())) {
        Some(("session", Ok(id))) => {
            let row = crate::queries::session(db, id).await?;
            (command.entity.as_str(), row.map(|row| row.generation), Work::Ask(id, Ask::Again))
        }
        Some(("application", Ok(id))) => {
            let row = crate::queries::application(db, id).await?;
            let again = Work::Application(Box::new(ApplicationWork::Again(id)));
            (command.entity.as_str(), row.map(|row| row.generation), again)
        }
        _ => return Err(moved_on("it belongs to no session and no application".into())),
    };
    let now = generation.ok_or_else(|| moved_on(format!("{what} is gone")))?;
    if now != command.generation {
        return Err(moved_on(format!("{what} is at generation {now}, the command at {}", command.generation)));
    }
    match parts.writer.submit(work).await? {
        Done::Session(row) => Ok(replayed_as(row.command_id, row.generation)),
        Done::Application(row) => Ok(replayed_as(row.command_id, row.generation)),
        _ => Err(Error::NotFound(letter.id)),
    }
}

fn replayed_as(command: Option<Uuid>, generation: i64) -> String {
    format!("replayed as command {} at generation {generation}", command.unwrap_or_default())
}

async fn publish_again(publisher: &Publisher, letter: &dead_letter::Model) -> Result<String, Error> {
    let known = subject::parse_report(&letter.subject).is_some() || subject::parse_command(&letter.subject).is_some();
    if !known {
        let why = format!("nothing listens durably on {}; discard it instead", letter.subject);
        return Err(Error::Superseded(why));
    }
    let outgoing = Outgoing {
        subject: letter.subject.clone(),
        message_id: format!("replay:{}:{}", letter.id, letter.updated_ms),
        traceparent: None,
        headers: Vec::new(),
        payload: letter.payload.clone().into(),
    };
    let ack = publisher.publish(outgoing).await?;
    Ok(format!("published again as sequence {} of {}", ack.sequence, ack.stream))
}
