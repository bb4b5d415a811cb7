//! Dead letters: what could not be processed, why, and what an operator can do about it.

mod causes;
mod edit;
mod letter;

use std::sync::Arc;

use engine::Engine;
use engine::queries::{self, LetterFilter, Position};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, OpenApi};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::Body;
use crate::cursor::{Limit, Page, Wanted, subject};
use crate::document::Tag;
use crate::json::Json;
use crate::moment::Moment;
use crate::problem::{Change, Correction, Listing, Lookup, Problem, Refused, database};
use crate::texts::{Reason, Search, Subject};

pub(crate) use causes::Causes;
use edit::LetterEdit;
use letter::DeadLetter;

/// A state to filter by.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "DeadLetterStatus", rename_all = "lowercase")]
enum Status {
    Open,
    Replayed,
    Discarded,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

/// A text that is looked for.
fn search(text: Option<Search>) -> Result<Option<String>, Problem> {
    let Some(Search(text)) = text else { return Ok(None) };
    if (1..=255).contains(&text.chars().count()) && !text.contains(char::is_control) {
        return Ok(Some(text));
    }
    let rule = "must have 1 to 255 characters and no control characters";
    Err(Problem::parameter("q", rule.to_owned(), "leave it out to mean any"))
}

pub(crate) struct DeadLetters(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::DeadLetters")]
impl DeadLetters {
    /// List dead letters
    ///
    /// Newest first, without payloads: read one for those.
    #[oai(path = "/admin/dlq", method = "get", operation_id = "list_dead_letters")]
    #[allow(clippy::too_many_arguments)] // one for each parameter of the query
    async fn list(
        &self,
        _caller: Caller,
        /// Those in this state.
        status: Query<Option<Status>>,
        /// Those with this reason.
        reason: Query<Option<String>>,
        /// Those that were going to this subject, or with a trailing `.*` or `.>` to those that begin so.
        subject: Query<Option<Subject>>,
        /// Those of this platform.
        platform: Query<Option<String>>,
        /// Those of this controller.
        controller_id: Query<Option<String>>,
        /// Those about this, as `session:<id>`.
        entity: Query<Option<String>>,
        /// Those with this fingerprint.
        fingerprint: Query<Option<String>>,
        /// Those with this text somewhere in their subject, error or entity, in capitals or not.
        q: Query<Option<Search>>,
        /// Those parked then or later: a time (RFC 3339), a date, or how long ago, as `10m`.
        since: Query<Option<Moment>>,
        /// Those parked before then, written alike.
        until: Query<Option<Moment>>,
        /// Items on a page: 1 to 200, 50 unless given.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<DeadLetter>>, Refused<Listing>> {
        let filter = LetterFilter {
            status: status.map(|status| status.name().to_owned()),
            reason: reason.0,
            subject: self::subject(subject.0)?,
            platform: platform.0,
            controller_id: controller_id.0,
            entity: entity.0,
            fingerprint: fingerprint.0,
            q: search(q.0)?,
            since_ms: since.map(Moment::ms),
            until_ms: until.map(Moment::ms),
        };
        let (since_ms, until_ms) = (since.map(Moment::name), until.map(Moment::name));
        let named = LetterFilter { since_ms, until_ms, ..filter.clone() };
        let wanted = Wanted::<Position>::new("dead letters", &named, limit.0, cursor.as_deref())?;
        let rows =
            queries::dead_letters(self.0.reader(), &filter, wanted.after, wanted.fetch()).await.map_err(database)?;
        Ok(Json(wanted.page(rows, |row| (row.created_ms, row.id), Into::into)))
    }

    /// Read a dead letter
    #[oai(path = "/admin/dlq/:id", method = "get", operation_id = "get_dead_letter")]
    async fn get(&self, _caller: Caller, id: Path<Uuid>) -> Result<Json<DeadLetter>, Refused<Lookup>> {
        let row = queries::dead_letter(self.0.reader(), id.0).await.map_err(database)?;
        let row = row.ok_or_else(|| Problem::not_found("dead letter", id.0))?;
        let foreign = self.0.foreign(&row).await?;
        Ok(Json(DeadLetter::from(row).marked(foreign)))
    }

    /// Replay a dead letter
    ///
    /// A failed command becomes a new one, for what is desired now, where the log holds that command; a report that an engine parked goes
    /// back to its subject, byte for byte. Any other letter is foreign: it is only read and discarded. With `dry_run`
    /// nothing is changed: the letter is answered as it is with what would become of what it is about in `outlook`, or the refusal
    /// that a replay would meet.
    #[oai(path = "/admin/dlq/:id/replay", method = "post", operation_id = "replay_dead_letter")]
    async fn replay(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Change nothing, and find out what would be done; no unless given.
        dry_run: Query<Option<bool>>,
    ) -> Result<Json<DeadLetter>, Refused<Change>> {
        if dry_run.unwrap_or_default() {
            let (row, outlook) = self.0.replay_outlook(id.0).await?;
            return Ok(Json(DeadLetter::from(row).with(outlook)));
        }
        let row = self.0.replay(id.0, caller.0.name).await?;
        Ok(Json(row.into()))
    }

    /// Correct a dead letter
    ///
    /// For reports that could not be read. The corrected message is held against the wire contract and goes to the letter's subject
    /// as a message of its own; the letter is closed, and keeps the bytes that came and the difference, which is also in the log.
    /// With `dry_run` nothing is changed, and the difference is answered. One that fails again becomes another letter.
    #[oai(path = "/admin/dlq/:id/edit", method = "post", operation_id = "edit_dead_letter")]
    async fn edit(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        body: Body<LetterEdit>,
    ) -> Result<Json<DeadLetter>, Refused<Correction>> {
        let (new, dry_run) = body.check(LetterEdit::mistakes)?.by(caller.0.name);
        let row = if dry_run { self.0.edit_outlook(id.0, new).await? } else { self.0.edit_letter(id.0, new).await? };
        Ok(Json(row.into()))
    }

    /// Discard a dead letter
    ///
    /// It stays as a record, with the reason and who gave it, and is not replayed any more.
    #[oai(path = "/admin/dlq/:id", method = "delete", operation_id = "discard_dead_letter")]
    async fn discard(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Why, in 1 to 500 characters.
        reason: Query<Reason>,
    ) -> Result<Json<DeadLetter>, Refused<Change>> {
        let Reason(reason) = reason.0;
        let count = reason.chars().count();
        if !(1..=500).contains(&count) || reason.contains('\0') || reason.trim().is_empty() {
            let rule = format!("must have 1 to 500 characters and say something, not {count}");
            return Err(Problem::parameter("reason", rule, "say why nobody needs it any more").into());
        }
        let row = self.0.discard(id.0, reason, caller.0.name).await?;
        Ok(Json(row.into()))
    }
}
