//! What happens to what was parked: it is recorded, shown, copied to the public stream, and replayed or discarded by an
//! operator.

use sea_orm::sea_query::Expr;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use streams::cloudevents;
use streams::crash::{Moment, point};
use streams::parking::{ATTEMPTS, ERROR, REASON};
use streams::publisher::Outgoing;
use streams::subject::{self, DEAD_LETTER_PREFIX};
use streams::worker::{Delivery, Verdict};
use uuid::Uuid;

use crate::Engine;
use crate::parts::Parts;
use crate::projector::verdict;
use crate::store::dead_letter;
use crate::writer::{self, Done, NewDeadLetter, Work};

/// On a public copy: the id of the row that it copies.
pub(crate) const COPY_HEADER: &str = "Streamspace-Dead-Letter";

impl Engine {
    /// Closes a dead letter for good, in the name of `by`, and says why.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn discard(&self, id: Uuid, why: String, by: String) -> Result<dead_letter::Model, writer::Error> {
        match self.parts.writer.submit(Work::Discard { letter: id, why, by }).await? {
            Done::DeadLetter(row) => Ok(*row),
            _ => Err(writer::Error::NotFound { what: "dead letter", name: id.to_string() }),
        }
    }
}

/// Records what arrives in the dead-letter stream.
pub(crate) async fn record(parts: &Parts, deliveries: Vec<Delivery>) -> Vec<Verdict> {
    let mut verdicts = Vec::with_capacity(deliveries.len());
    for delivery in &deliveries {
        if header(delivery, COPY_HEADER).is_some() {
            verdicts.push(Verdict::Done);
            continue;
        }
        let work = Work::Park(Box::new(letter(delivery)));
        let answer = parts.writer.enqueue(work, delivery.traceparent.clone()).await;
        point("deadletter.record", Moment::After);
        verdicts.push(match verdict(answer) {
            Verdict::Park(why) => {
                tracing::error!(why, subject = %delivery.subject, "a dead letter cannot be recorded; it stays in its stream");
                Verdict::Done
            }
            other => other,
        });
    }
    verdicts
}

fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a str> {
    delivery.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn letter(delivery: &Delivery) -> NewDeadLetter {
    let original = delivery.subject.strip_prefix(DEAD_LETTER_PREFIX).unwrap_or(&delivery.subject).to_owned();
    let clean = |name: &str| header(delivery, name).unwrap_or("parked").replace('\0', "");
    let (reason, error) = (clean(REASON), clean(ERROR));
    let attempts = header(delivery, ATTEMPTS).and_then(|text| serde_json::from_str(text).ok());
    let body: Value = serde_json::from_slice(&delivery.payload).unwrap_or(Value::Null);
    let id = |name: &str| body.get(name).and_then(Value::as_str).and_then(|text| text.parse::<Uuid>().ok());
    let headers: Vec<Value> =
        delivery.headers.iter().map(|(name, value)| json!([name.replace('\0', ""), value.replace('\0', "")])).collect();
    let (platform, controller_id) = party(&original);
    NewDeadLetter {
        source: source(delivery.message_id.as_deref(), delivery.stream_sequence),
        event_id: id("event_id"),
        subject: original.chars().take(255).collect(),
        reason: reason.chars().take(60).collect(),
        error,
        payload: delivery.payload.to_vec(),
        headers: Value::Array(headers),
        attempts: attempts.unwrap_or_else(|| json!([])),
        entity: id("session_id")
            .map(|id| format!("session:{id}"))
            .or_else(|| id("install_id").map(|id| format!("application:{id}"))),
        controller_id,
        platform,
        copied: true,
    }
}

/// What a message of the dead-letter stream is called in the table: its id, or where it has none its place.
pub(crate) fn source(message_id: Option<&str>, sequence: u64) -> String {
    let name = message_id.map_or_else(|| format!("dlq:{sequence}"), |id| id.replace('\0', ""));
    name.chars().take(255).collect()
}

/// Platform and controller, where a subject of the durable lane names them.
fn party(original: &str) -> (Option<String>, Option<String>) {
    let tokens: Vec<&str> = original.split('.').collect();
    match tokens.as_slice() {
        [_, _, _, platform, controller] => (Some((*platform).to_owned()), Some((*controller).to_owned())),
        [_, _, _, platform] => (Some((*platform).to_owned()), None),
        _ => (None, None),
    }
}

/// Dead letters that the public stream does not have yet.
pub(crate) async fn uncopied(db: &DatabaseConnection, limit: u64) -> Result<Vec<(Uuid, Outgoing)>, DbErr> {
    let rows = dead_letter::Entity::find()
        .filter(Expr::cust("NOT copied")) // literally as in the partial index, so that SQLite uses it
        .order_by_asc(dead_letter::Column::CreatedMs)
        .limit(limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, copy(row))).collect())
}

fn copy(row: dead_letter::Model) -> Outgoing {
    let about = row.entity.map(|entity| (cloudevents::SUBJECT.to_owned(), entity));
    let headers = [
        (COPY_HEADER.to_owned(), row.id.to_string()),
        (REASON.to_owned(), row.reason),
        (ERROR.to_owned(), row.error.replace(['\r', '\n', '\0'], " ")),
        (ATTEMPTS.to_owned(), row.attempts.to_string()),
    ];
    let headers = headers.into_iter().chain(about).collect();
    Outgoing {
        subject: subject::dead_letter(&row.subject),
        message_id: format!("copy:{}", row.id),
        traceparent: None,
        headers,
        payload: row.payload.into(),
    }
}

/// One dead letter.
///
/// # Errors
/// What the database says.
pub(crate) async fn get(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<dead_letter::Model>, DbErr> {
    dead_letter::Entity::find_by_id(id).one(db).await
}
