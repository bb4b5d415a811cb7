//! What comes again: the same thing from the same sender with the same error is one open letter, with a count.
//!
//! A broken controller says the same every few seconds for days. Each is counted, and only the first is kept whole. Once the letter
//! is closed, the next one is a new letter: what was decided is decided about what had come.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use streams::subject::HEARTBEAT;
use uuid::Uuid;

use super::dead_letter::fingerprint;
use super::work::NewDeadLetter;
use crate::store::dead_letter::{self, Column as C};

/// Messages that a letter remembers to have counted: more than are looked at to tell whether any is missing.
const REMEMBERED: usize = 64;

/// The header of a parked message that has the id which it came with.
const ORIGINAL_ID: &str = "Streamspace-Original-Nats-Msg-Id";

/// Letters of one digest: the first to come, and those that came again.
pub(super) struct Repeated {
    pub(super) first: NewDeadLetter,
    pub(super) digest: String,
    pub(super) count: i64,
    pub(super) sources: Vec<String>,
}

/// An open letter that is already there.
struct Known {
    id: Uuid,
    source: String,
    repeats: Option<Value>,
}

/// What of all that is the same: reason, subject, error without its numbers, and the bytes. Of heartbeats, which carry the time and
/// have no other identity, the sender stands for the bytes.
fn digest(new: &NewDeadLetter) -> String {
    let sender = || Some(serde_json::from_slice::<Value>(&new.payload).ok()?.get("controller_id")?.to_string());
    let sender = Some(()).filter(|()| new.subject.starts_with(HEARTBEAT)).and_then(|()| sender());
    let mut hash = Sha256::new();
    let sent_again = sent_again(new);
    hash.update([u8::from(new.verified)]); // what anyone has put there never stands for what an engine has parked
    for part in [new.reason.as_bytes(), new.subject.as_bytes(), fingerprint(new).as_bytes(), sent_again.as_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    match &sender {
        Some(sender) => hash.update(sender.as_bytes()),
        None => hash.update(&new.payload),
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id that a message went out under when a letter was replayed. What comes of it is a letter of its own: the one that was replayed
/// may still be open, and is about to be closed.
fn sent_again(new: &NewDeadLetter) -> String {
    let headers = new.headers.as_array().into_iter().flatten();
    let ids = headers.filter(|header| header[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case(ORIGINAL_ID)));
    let mut ids = ids.filter_map(|header| header[1].as_str());
    ids.find(|id| id.starts_with("replay:") || id.starts_with("edit:")).unwrap_or_default().to_owned()
}

/// Puts together what is the same, in the order in which it came.
pub(super) fn together(letters: Vec<NewDeadLetter>) -> Vec<Repeated> {
    let mut all: Vec<Repeated> = Vec::with_capacity(letters.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    for new in letters {
        let digest = digest(&new);
        match places.get(&digest).and_then(|at| all.get_mut(*at)) {
            Some(same) if same.sources.contains(&new.source) => {}
            Some(same) => {
                same.count = same.count.saturating_add(new.count);
                same.sources.push(new.source);
            }
            None => {
                places.insert(digest.clone(), all.len());
                let (count, sources) = (new.count, vec![new.source.clone()]);
                all.push(Repeated { first: new, digest, count, sources });
            }
        }
    }
    all
}

/// Counts what open letters have come again, and gives back what is new.
pub(super) async fn count(
    tx: &DatabaseTransaction,
    letters: Vec<Repeated>,
    now_ms: i64,
) -> Result<Vec<Repeated>, DbErr> {
    let known = known(tx, &letters).await?;
    let mut new = Vec::with_capacity(letters.len());
    for letter in letters {
        match known.get(&letter.digest) {
            Some(known) => known.count(tx, letter, now_ms).await?,
            None => new.push(letter),
        }
    }
    Ok(new)
}

async fn known(tx: &DatabaseTransaction, letters: &[Repeated]) -> Result<HashMap<String, Known>, DbErr> {
    let rows: Vec<(String, Uuid, String, Option<Value>)> = dead_letter::Entity::find()
        .select_only()
        .columns([C::Digest, C::Id, C::Source, C::Repeats])
        .filter(Expr::cust("status = 'open'")) // literally as in the partial index
        .filter(C::Digest.is_in(letters.iter().map(|letter| letter.digest.as_str())))
        .into_tuple()
        .all(tx)
        .await?;
    Ok(rows.into_iter().map(|(digest, id, source, repeats)| (digest, Known { id, source, repeats })).collect())
}

impl Known {
    /// A message that was delivered again is no repetition.
    async fn count(&self, tx: &DatabaseTransaction, letter: Repeated, now_ms: i64) -> Result<(), DbErr> {
        let mut sources = remembered(self.repeats.as_ref());
        let seen = |source: &String| *source == self.source || sources.contains(source);
        let (again, fresh): (Vec<String>, Vec<String>) = letter.sources.into_iter().partition(seen);
        let count = letter.count - again.len() as i64;
        if fresh.is_empty() || count <= 0 {
            return Ok(());
        }
        sources.extend(fresh);
        let excess = sources.len().saturating_sub(REMEMBERED);
        dead_letter::Entity::update_many()
            .col_expr(C::Count, Expr::col(C::Count).add(count))
            .col_expr(C::LastMs, Expr::value(now_ms))
            .col_expr(C::Repeats, Expr::value(json!(sources[excess..])))
            .filter(C::Id.eq(self.id))
            .filter(C::Status.eq("open"))
            .exec(tx)
            .await?;
        Ok(())
    }
}

/// The messages that a letter has counted last.
pub(crate) fn remembered(repeats: Option<&Value>) -> Vec<String> {
    let texts = repeats.and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(source: &str, subject: &str, payload: &str) -> NewDeadLetter {
        NewDeadLetter {
            source: source.into(),
            event_id: None,
            subject: subject.into(),
            reason: "undecodable".into(),
            error: "line 1 column 2".into(),
            payload: payload.into(),
            headers: json!([]),
            attempts: json!([]),
            entity: None,
            controller_id: None,
            platform: None,
            count: 1,
            copied: true,
            verified: true,
        }
    }

    #[test]
    fn the_same_bytes_of_the_same_subject_are_one_and_a_delivery_again_is_no_repetition() {
        let status = "streamspace.session.status";
        let all = together(vec![
            letter("a", status, "{"),
            letter("b", status, "{"),
            letter("b", status, "{"),
            letter("c", status, "["),
            letter("d", "streamspace.app.status", "{"),
        ]);
        assert_eq!(all.iter().map(|one| one.count).collect::<Vec<_>>(), [2, 1, 1]);
    }

    #[test]
    fn what_a_replay_sent_is_no_repetition_of_the_letter_that_was_replayed() {
        let first = letter("a", "streamspace.session.status", "{");
        let headers = json!([[ORIGINAL_ID.to_lowercase(), "replay:1:2"]]);
        let again = NewDeadLetter { source: "b".into(), headers, ..first.clone() };
        assert_eq!(together(vec![first, again]).len(), 2);
    }

    #[test]
    fn heartbeats_of_one_sender_are_one_whatever_the_time_is() {
        let beat = |source: &str, id: &str, at: u8| {
            letter(source, HEARTBEAT, &format!(r#"{{"controller_id":"{id}","timestamp":{at}}}"#))
        };
        let all = together(vec![beat("1", "a", 1), beat("2", "a", 2), beat("3", "b", 3)]);
        assert_eq!(all.iter().map(|one| one.count).collect::<Vec<_>>(), [2, 1]);
    }
}
