//! What happens to what could not be processed: it becomes a row, once, whatever parks it how often.

use std::sync::LazyLock;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use sha2::{Digest, Sha256};
use streams::crash::{Moment, point};
use uuid::Uuid;

use super::Error;
use super::batch::Batch;
use super::work::{Ask, Done, NewDeadLetter};
use crate::store::bulk::Update;
use crate::store::dead_letter;

static SETTLED: LazyLock<Update> =
    LazyLock::new(|| Update::new("dead_letters", "id", ["status", "note", "updated_ms"]));

impl Batch<'_> {
    pub(super) fn settle(&mut self, id: Uuid, status: &str, note: Option<String>) -> Result<Done, Error> {
        let missing = || Error::NotFound { what: "dead letter", name: id.to_string() };
        let row = self.known_letters.get_mut(&id).ok_or_else(missing)?;
        if row.status == "discarded" {
            return Err(Error::Conflict(format!("dead letter {id} was discarded")));
        }
        row.status = status.to_owned();
        row.note = note;
        row.updated_ms = self.now_ms;
        self.settled.push(vec![id.into(), row.status.clone().into(), row.note.clone().into(), self.now_ms.into()]);
        Ok(Done::DeadLetter(Box::new(row.clone())))
    }

    /// Asks the session anew and closes the letter, both or neither.
    pub(super) fn replay(
        &mut self,
        letter: Uuid,
        session: Uuid,
        generation: i64,
        trace: Option<&str>,
    ) -> Result<Done, Error> {
        let missing = || Error::NotFound { what: "dead letter", name: letter.to_string() };
        let status = &self.known_letters.get(&letter).ok_or_else(missing)?.status;
        if status != "open" {
            return Err(Error::Superseded(format!("dead letter {letter} is {status} already")));
        }
        let now = self.slot(session)?.row.generation;
        if now != generation {
            let why = format!("session {session} is at generation {now}, the command at {generation}");
            return Err(Error::Superseded(format!("the command was overtaken: {why}")));
        }
        self.ask(session, Ask::Again, trace)?;
        let row = &self.slot(session)?.row;
        let command = row.command_id.map(|id| id.to_string()).unwrap_or_default();
        let note = format!("replayed as command {command} at generation {}", row.generation);
        self.settle(letter, "replayed", Some(note))
    }

    pub(super) async fn flush_letters(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let rows: Vec<_> = std::mem::take(&mut self.letters).into_iter().map(|new| row_of(new, self.now_ms)).collect();
        if !rows.is_empty() {
            point("deadletter.record", Moment::Before);
            self.outcome.outbox |= rows.iter().any(|row| !row.copied);
            let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
            let once = OnConflict::column(dead_letter::Column::Source).do_nothing().to_owned();
            dead_letter::Entity::insert_many(rows).on_conflict(once).try_insert().exec_without_returning(tx).await?;
            point("deadletter.record", Moment::During);
        }
        SETTLED.run(tx, std::mem::take(&mut self.settled)).await?;
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

fn row_of(new: NewDeadLetter, now_ms: i64) -> dead_letter::Model {
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
    }
}

/// What causes are grouped by: the reason, the kind of subject, and the error without its numbers and ids.
fn fingerprint(new: &NewDeadLetter) -> String {
    let words = new.error.split_whitespace().filter(|word| !word.chars().any(|c| c.is_ascii_digit()));
    let kind: Vec<&str> = new.subject.split('.').take(3).collect();
    let text = format!("{}|{}|{}", new.reason, kind.join("."), words.collect::<Vec<_>>().join(" "));
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
