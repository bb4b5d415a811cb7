//! What happens to what could not be processed: it becomes a row, once, whatever parks it how often.

use std::sync::LazyLock;

use machine::debt::Event as DebtEvent;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::json;
use sha2::{Digest, Sha256};
use streams::crash::{Moment, point};
use streams::subject::family;
use uuid::Uuid;

use super::batch::Batch;
use super::repeats::{self, Repeated};
use super::work::{Ask, Commanded, Done, Edit, NewDeadLetter, Replay};
use super::{ApplicationWork, Error};
use crate::store::bulk::Update;
use crate::store::{dead_letter, event};

pub(crate) static SETTLED: LazyLock<Update> =
    LazyLock::new(|| Update::new("dead_letters", "id", ["status", "note", "updated_ms", "settled_by", "entity_seq"]));

impl Batch<'_> {
    /// Replays a letter: what failed is asked anew and the letter closed, both or neither.
    pub(super) fn replay(&mut self, id: Uuid, how: &Replay, by: &str, trace: Option<&str>) -> Result<Done, Error> {
        self.is_open(id)?;
        let note = match how {
            Replay::Sent { note, .. } => note.clone(),
            Replay::Ask { of, generation } => {
                self.is_current(*of, *generation)?;
                match of {
                    Commanded::Session(id) => self.ask(*id, Ask::Again, trace)?,
                    Commanded::Application(id) => self.application(&ApplicationWork::Again(*id), trace)?,
                    Commanded::Debt(id) => self.debt_event(*id, &DebtEvent::Again, trace)?,
                };
                let (generation, command) = self.stands(*of)?;
                self.caused_by(command, self.known_letter(id)?.event_id);
                format!("replayed as command {} at generation {generation}", command.unwrap_or_default())
            }
        };
        self.settle(id, "replayed", note, by, trace)
    }

    /// The same as one of many; says whether there was anything to do.
    pub(super) fn replay_item(&mut self, id: Uuid, how: &Replay, by: &str, trace: Option<&str>) -> Result<bool, Error> {
        if self.known_letter(id)?.status == "replayed" {
            return Ok(false);
        }
        self.replay(id, how, by, trace).map(|_| true)
    }

    /// Closes a letter for good; it stays as a record of why and by whom.
    pub(super) fn discard(&mut self, id: Uuid, why: &str, by: &str, trace: Option<&str>) -> Result<Done, Error> {
        match self.known_letter(id)?.status.as_str() {
            "discarded" => Ok(Done::DeadLetter(Box::new(self.known_letter(id)?.clone()))),
            "open" => self.settle(id, "discarded", why.to_owned(), by, trace),
            status => Err(Error::Superseded(format!("dead letter {id} is {status} already"))),
        }
    }

    /// Closes a letter whose corrected message is on its way; what was changed stays with it.
    pub(super) fn edit(&mut self, id: Uuid, edit: &Edit, by: &str, trace: Option<&str>) -> Result<Done, Error> {
        self.is_open(id)?;
        let shown = edit.shown(by, Some(self.now_ms));
        self.known_letters.get_mut(&id).ok_or_else(|| missing(id))?.edit = Some(shown.clone());
        self.edits.push((id, shown.clone()));
        let done = self.settle(id, "replayed", edit.note.clone(), by, trace)?;
        if let Some(log) = self.log.last_mut() {
            log.subject = "streamspace.decision.dead_letter_edited".into();
            log.payload.change(|told| {
                told["decision"] = "dead_letter_edited".into();
                told["reason"] = edit.reason.clone().into();
                told["diff"] = edit.diff.clone();
            });
            if let Some(changes) = &mut log.changes {
                changes.change(|changes| changes["edit"] = shown);
            }
        }
        Ok(done)
    }

    /// One of many that a job closes; false where it is closed already.
    pub(super) fn discard_item(&mut self, id: Uuid, why: &str, by: &str, trace: Option<&str>) -> Result<bool, Error> {
        if self.known_letter(id)?.status == "discarded" {
            return Ok(false);
        }
        self.discard(id, why, by, trace).map(|_| true)
    }

    fn settle(&mut self, id: Uuid, status: &str, note: String, by: &str, trace: Option<&str>) -> Result<Done, Error> {
        let now_ms = self.now_ms;
        let row = self.known_letters.get_mut(&id).ok_or_else(|| missing(id))?;
        row.status = status.to_owned();
        row.note = Some(note);
        row.settled_by = Some(by.to_owned());
        row.entity_seq += 1;
        row.updated_ms = now_ms;
        let row = row.clone();
        self.settle_as_is(&row);
        self.log_settled(&row, by, trace);
        Ok(Done::DeadLetter(Box::new(row)))
    }

    /// Writes what was done about a letter.
    pub(crate) fn settle_as_is(&mut self, row: &dead_letter::Model) {
        self.settled.push(vec![
            row.id.into(),
            row.status.clone().into(),
            row.note.clone().into(),
            row.updated_ms.into(),
            row.settled_by.clone().into(),
            row.entity_seq.into(),
        ]);
    }

    /// What was done to a letter is logged as a decision; the letter as it was parked is its own record.
    fn log_settled(&mut self, row: &dead_letter::Model, by: &str, trace: Option<&str>) {
        let what = format!("dead_letter_{}", row.status);
        let entity = dead_letter::Model::entity(row.id);
        let mut log =
            self.log_row(event::Kind::Decision, Uuid::now_v7(), format!("streamspace.decision.{what}"), entity);
        log.payload =
            json!({ "decision": what, "dead_letter_id": row.id, "about": row.entity, "by": by, "note": row.note })
                .into();
        log.changes = Some(json!({ "status": row.status, "note": row.note, "settled_by": by }).into());
        log.entity_seq = row.entity_seq;
        log.causation_id = row.event_id;
        log.traceparent = trace.map(str::to_owned);
        self.log.push(log);
    }

    /// Notes on the command that was just issued what it goes back to.
    fn caused_by(&mut self, command: Option<Uuid>, event_id: Option<Uuid>) {
        let mut issued = self.log.iter_mut().rev();
        if let Some(row) = issued.find(|row| Some(row.event_id) == command && row.kind == event::Kind::Command) {
            row.causation_id = event_id;
        }
    }

    pub(super) fn known_letter(&self, id: Uuid) -> Result<&dead_letter::Model, Error> {
        self.known_letters.get(&id).ok_or_else(|| missing(id))
    }

    pub(super) fn is_open(&self, id: Uuid) -> Result<(), Error> {
        match self.known_letter(id)?.status.as_str() {
            "open" => Ok(()),
            status => Err(Error::Superseded(format!("dead letter {id} is {status} already"))),
        }
    }

    pub(super) fn is_current(&self, of: Commanded, generation: i64) -> Result<(), Error> {
        let (now, _) = self.stands(of)?;
        if now == generation {
            return Ok(());
        }
        let (what, id) = match of {
            Commanded::Session(id) => ("session", id),
            Commanded::Application(id) => ("application", id),
            Commanded::Debt(id) => ("debt", id),
        };
        let why = format!("{what} {id} is at generation {now}, the command at {generation}");
        Err(Error::Superseded(format!("the command was overtaken: {why}")))
    }

    /// The generation and the open command of what has commands.
    pub(super) fn stands(&self, of: Commanded) -> Result<(i64, Option<Uuid>), Error> {
        match of {
            Commanded::Session(id) => self.slot(id).map(|slot| (slot.row.generation, slot.row.command_id)),
            Commanded::Application(id) => self.application_stands(id),
            Commanded::Debt(id) => self.debt_stands(id),
        }
    }

    pub(super) async fn flush_letters(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let letters = repeats::together(std::mem::take(&mut self.letters));
        let letters = if letters.is_empty() { letters } else { repeats::count(tx, letters, self.now_ms).await? };
        let rows: Vec<_> = letters.into_iter().map(|new| row_of(new, self.now_ms)).collect();
        if !rows.is_empty() {
            point("deadletter.record", Moment::Before);
            self.outcome.copies |= rows.iter().any(|row| !row.copied);
            let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
            let once = OnConflict::column(dead_letter::Column::Source).do_nothing().to_owned();
            dead_letter::Entity::insert_many(rows).on_conflict(once).try_insert().exec_without_returning(tx).await?;
            point("deadletter.record", Moment::During);
        }
        SETTLED.run(tx, std::mem::take(&mut self.settled)).await?;
        for (id, edit) in std::mem::take(&mut self.edits) {
            let change = dead_letter::Entity::update_many().filter(dead_letter::Column::Id.eq(id));
            change.col_expr(dead_letter::Column::Edit, Expr::value(edit)).exec(tx).await?;
        }
        let copied = std::mem::take(&mut self.copied);
        if !copied.is_empty() {
            dead_letter::Entity::update_many()
                .col_expr(dead_letter::Column::Copied, Expr::value(true))
                .filter(dead_letter::Column::Id.is_in(copied))
                .exec(tx)
                .await?;
        }
        Ok(())
    }
}

fn row_of(letter: Repeated, now_ms: i64) -> dead_letter::Model {
    let Repeated { first: new, digest, count, sources } = letter;
    let new = new.bounded();
    let fingerprint = fingerprint(&new);
    dead_letter::Model {
        id: Uuid::now_v7(),
        event_id: new.event_id,
        source: new.source,
        subject: new.subject,
        reason: new.reason,
        error: new.error,
        payload: new.payload,
        headers: new.headers,
        attempts: new.attempts,
        entity: new.entity,
        controller_id: new.controller_id,
        platform: new.platform,
        fingerprint,
        status: "open".into(),
        note: None,
        copied: new.copied,
        created_ms: now_ms,
        updated_ms: now_ms,
        settled_by: None,
        entity_seq: 0,
        edit: None,
        digest: Some(digest),
        count,
        last_ms: (count > 1).then_some(now_ms),
        repeats: (sources.len() > 1).then(|| json!(sources[sources.len().saturating_sub(64)..])),
        verified: new.verified,
    }
}

fn missing(id: Uuid) -> Error {
    Error::NotFound { what: "dead letter", name: id.to_string() }
}

/// What causes are grouped by: the reason, the kind of subject, and the error without its numbers and ids.
pub(super) fn fingerprint(new: &NewDeadLetter) -> String {
    let words = new.error.split_whitespace().filter(|word| !word.chars().any(|c| c.is_ascii_digit()));
    let text = format!("{}|{}|{}", new.reason, family(&new.subject), words.collect::<Vec<_>>().join(" "));
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
