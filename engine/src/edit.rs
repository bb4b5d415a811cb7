//! What happens when an operator mends a report that could not be read.
//!
//! The corrected message is held against what the projector reads; the difference is kept with the letter and in its log, with who
//! and why; and it goes to the letter's subject as a message of its own, which names the letter. The bytes that came stay as they are.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use streams::parking::EDITED_LETTER;
use streams::publisher::Outgoing;
use uuid::Uuid;

use crate::Engine;
use crate::projector::illegible;
use crate::replay::{Error, open, verified};
use crate::request::{FieldError, Invalid};
use crate::store::dead_letter;
use crate::writer::{self, Edit, EditLetter};

/// A correction as it was asked for.
#[derive(Debug, Clone)]
pub struct NewEdit {
    /// What it should have said.
    pub payload: Value,
    /// Why it is changed.
    pub reason: String,
    /// By whom.
    pub by: String,
}

impl Engine {
    /// Corrects a report that could not be read, and sends it; the dead letter keeps its bytes and the difference.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn edit_letter(&self, id: Uuid, new: NewEdit) -> Result<dead_letter::Model, Error> {
        let request = async {
            let letter = open(&self.parts, id).await?;
            let edit = checked(&letter, &new)?;
            let ack = self.publisher.publish(outgoing(&letter, &new.payload, &edit)).await?;
            let note = format!("edited, and published as sequence {} of {}", ack.sequence, ack.stream);
            Ok::<_, Error>(EditLetter { letter: id, edit: Edit { note, ..edit }, by: new.by.clone() })
        };
        self.parts.writer.once(request).await
    }

    /// The same letter as the correction would leave it; nothing is written.
    ///
    /// # Errors
    /// Why it would not be done.
    pub async fn edit_outlook(&self, id: Uuid, new: NewEdit) -> Result<dead_letter::Model, Error> {
        let letter = open(&self.parts, id).await?;
        let edit = checked(&letter, &new)?;
        Ok(dead_letter::Model { edit: Some(edit.shown(&new.by, None)), ..letter })
    }
}

/// The correction, where it can be made.
fn checked(letter: &dead_letter::Model, new: &NewEdit) -> Result<Edit, Error> {
    verified(letter)?;
    if letter.reason != "undecodable" {
        let why =
            format!("dead letter {} could be read ({}); replay it or discard it instead", letter.id, letter.reason);
        return Err(Error::Writer(writer::Error::Conflict(why)));
    }
    let payload = new.payload.to_string();
    let wrong = illegible(&letter.subject, payload.as_bytes());
    if let Some(mistake) = wrong {
        return Err(Error::Writer(Invalid(vec![mistake]).into()));
    }
    let before: Value = streams::limits::json::stored(&letter.payload).unwrap_or_default();
    let diff = json_patch::diff(&before, &new.payload);
    if diff.0.is_empty() {
        let (field, rule) = ("payload".to_owned(), "is what the dead letter says already".to_owned());
        let hint = "replay it, where the version that reads it is a newer one".to_owned();
        return Err(Error::Writer(Invalid(vec![FieldError { field, rule, hint: hint.into() }]).into()));
    }
    let digest: String = Sha256::digest(&payload).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let message_id = format!("edit:{}:{digest}", letter.id);
    Ok(Edit { reason: new.reason.clone(), diff: json!(diff), message_id, note: String::new() })
}

fn outgoing(letter: &dead_letter::Model, payload: &Value, edit: &Edit) -> Outgoing {
    Outgoing {
        subject: letter.subject.clone(),
        message_id: edit.message_id.clone(),
        traceparent: streams::trace::current_traceparent(),
        headers: vec![(EDITED_LETTER.to_owned(), letter.id.to_string())],
        payload: payload.to_string().into(),
    }
}
