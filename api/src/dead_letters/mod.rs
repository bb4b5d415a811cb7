//! Dead letters: messages that could not be processed, and the operator's actions on them.

mod causes;
mod edit;
mod letter;

use std::sync::Arc;

use engine::Engine;
use engine::use_cases::{LetterFilter, Position};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, OpenApi};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::Body;
use crate::cursor::{Limit, LivePage, Window, subject};
use crate::document::Tag;
use crate::json::Json;
use crate::moment::Moment;
use crate::param_types::{Reason, Search, Subject};
use crate::problem::{Change, Correction, Listing, Lookup, Problem, Refused};

pub(crate) use causes::Causes;
use edit::LetterEdit;
use letter::DeadLetter;

/// State to filter by.
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

/// Parses a text to search for.
fn search(text: Option<Search>) -> Result<Option<String>, Problem> {
    let Some(Search(text)) = text else { return Ok(None) };
    if (1..=255).contains(&text.chars().count()) && !text.contains(char::is_control) {
        return Ok(Some(text));
    }
    let rule = "must have 1 to 255 characters and no control characters";
    Err(Problem::parameter("q", rule.to_owned(), "leave it out to match any"))
}

pub(crate) struct DeadLetters(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::DeadLetters")]
impl DeadLetters {
    /// List dead letters
    ///
    /// Newest first, without payloads; read a single letter for its payload.
    #[oai(path = "/admin/dlq", method = "get", operation_id = "list_dead_letters")]
    #[allow(clippy::too_many_arguments)] // one for each parameter of the query
    async fn list(
        &self,
        caller: Caller,
        /// Filter by state.
        status: Query<Option<Status>>,
        /// Filter by reason.
        reason: Query<Option<String>>,
        /// Filter by subject; a trailing `.*` or `.>` matches all that begin so.
        subject: Query<Option<Subject>>,
        /// Filter by platform.
        platform: Query<Option<String>>,
        /// Filter by controller.
        controller_id: Query<Option<String>>,
        /// Filter by entity, such as `session:<id>`.
        entity: Query<Option<String>>,
        /// Filter by fingerprint.
        fingerprint: Query<Option<String>>,
        /// Filter by a text in subject, error or entity, ignoring case.
        q: Query<Option<Search>>,
        /// Letters parked at or after this time: RFC 3339, a date, or an age such as `10m`.
        since: Query<Option<Moment>>,
        /// Letters parked before this time, in the same formats.
        until: Query<Option<Moment>>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` or `prev_cursor` of another page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<LivePage<DeadLetter>>, Refused<Listing>> {
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
        let acting = caller.on(&self.0);
        let window = Window::<Position>::open(&acting, "dead letters", &named, limit.0, cursor.as_deref()).await?;
        let rows = acting.list_dead_letters(&filter, window.seek(), window.fetch()).await?;
        Ok(Json(window.page(rows, |row| (row.created_ms, row.id), Into::into)))
    }

    /// Read a dead letter
    #[oai(path = "/admin/dlq/:id", method = "get", operation_id = "get_dead_letter")]
    async fn get(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<DeadLetter>, Refused<Lookup>> {
        let (row, foreign) = caller.on(&self.0).dead_letter(id.0).await?;
        Ok(Json(DeadLetter::from(row).marked(foreign)))
    }

    /// Replay a dead letter
    ///
    /// A failed command becomes a new one for the present desired state, if the log contains that command. A
    /// report that an engine parked returns to its subject, byte for byte. Any other letter is foreign, and can
    /// only be read and discarded. With `dry_run` nothing is changed: the answer shows the letter with the
    /// expected result in `outlook`, or the refusal that a replay would get.
    #[oai(path = "/admin/dlq/:id/replay", method = "post", operation_id = "replay_dead_letter")]
    async fn replay(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Change nothing, and show what would be done; default: false.
        dry_run: Query<Option<bool>>,
    ) -> Result<Json<DeadLetter>, Refused<Change>> {
        if dry_run.unwrap_or_default() {
            let (row, outlook) = caller.on(&self.0).replay_outlook(id.0).await?;
            return Ok(Json(DeadLetter::from(row).with(outlook)));
        }
        let row = caller.on(&self.0).replay(id.0).await?;
        Ok(Json(row.into()))
    }

    /// Correct a dead letter
    ///
    /// For reports that could not be read. The corrected message is validated against the wire contract and
    /// sent to the letter's subject as a new message. The letter is closed, and keeps the original bytes and
    /// the difference, which is also logged. With `dry_run` nothing is changed, and the difference is returned.
    /// If the corrected message fails, it becomes another letter.
    #[oai(path = "/admin/dlq/:id/edit", method = "post", operation_id = "edit_dead_letter")]
    async fn edit(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        body: Body<LetterEdit>,
    ) -> Result<Json<DeadLetter>, Refused<Correction>> {
        let acting = caller.on(&self.0);
        let (new, dry_run) = body.check(LetterEdit::mistakes)?.by(caller.0.name);
        let row = if dry_run { acting.edit_outlook(id.0, new).await? } else { acting.edit_letter(id.0, new).await? };
        Ok(Json(row.into()))
    }

    /// Discard a dead letter
    ///
    /// It stays as a record, with the reason and who discarded it, and cannot be replayed any more.
    #[oai(path = "/admin/dlq/:id", method = "delete", operation_id = "discard_dead_letter")]
    async fn discard(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Reason: 1 to 500 characters.
        reason: Query<Reason>,
    ) -> Result<Json<DeadLetter>, Refused<Change>> {
        let Reason(reason) = reason.0;
        let count = reason.chars().count();
        if !(1..=500).contains(&count) || reason.contains('\0') || reason.trim().is_empty() {
            let rule = format!("must have 1 to 500 characters and say something, not {count}");
            return Err(Problem::parameter("reason", rule, "say why it is no longer needed").into());
        }
        let row = caller.on(&self.0).discard(id.0, reason).await?;
        Ok(Json(row.into()))
    }
}
