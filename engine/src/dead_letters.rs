//! What happens to what was parked: it is recorded, shown, copied to the public stream, and replayed or discarded by an
//! operator.

use std::time::{Duration, Instant};

use futures::future::join_all;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::{Value, json};
use streams::cloudevents;
use streams::connect::Link;
use streams::crash::{Moment, point};
use streams::ids::{ControllerId, Platform};
use streams::parking::{self, ATTEMPTS, ERROR, Key, ORIGINAL_SUBJECT, PAYLOAD_CUT, REASON, REPEATS, SIGNATURE};
use streams::publisher::Outgoing;
use streams::subject::{self, DEAD_LETTER_PREFIX};
use streams::worker::{Delivery, Verdict};
use uuid::Uuid;

use crate::Engine;
use crate::parts::Parts;
use crate::projector::verdict;
use crate::queries::{Rows, bounded};
use crate::store::dead_letter;
use crate::writer::{self, DiscardLetter, Hope, NewDeadLetter, bounded_source};

/// What a message may say of how often it came; anybody may say anything.
const MOST_REPEATS: i64 = 1_000_000;
/// What the sources of the engine's own letters begin with.
pub(crate) const OWN: &str = "command:";
/// The same of what an inventory says of one session.
pub(crate) const WORLD: &str = "world:";
/// On a public copy: the id of the row that it copies.
pub(crate) const COPY_HEADER: &str = "Streamspace-Dead-Letter";

impl Engine {
    /// Closes a dead letter for good, in the name of `by`, and says why.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn discard(&self, id: Uuid, why: String, by: String) -> Result<dead_letter::Model, writer::Error> {
        self.parts.writer.submit(DiscardLetter { letter: id, why, by }).await
    }
}

/// Open letters that the table holds at most. Beyond, messages stay in their stream, which has a bound of its own and refuses what is
/// new; whoever sent that keeps it. Replaying or discarding some goes on from there.
pub const MOST_OPEN: u64 = 100_000;
/// How often open letters are counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Whether there is room for more open letters.
#[derive(Debug, Default)]
pub(crate) struct Room(tokio::sync::Mutex<Option<(Instant, bool)>>);

impl Room {
    async fn is_full(&self, db: &DatabaseConnection) -> bool {
        let mut known = self.0.lock().await;
        if let Some((_, full)) = known.filter(|(at, _)| at.elapsed() < COUNT_EVERY) {
            return full;
        }
        let open = dead_letter::Entity::find()
            .select_only()
            .column(dead_letter::Column::Id)
            .filter(Expr::cust("status = 'open'")) // literally as in the partial index
            .limit(MOST_OPEN);
        let full = open.count(db).await.is_ok_and(|count| count >= MOST_OPEN);
        if full {
            tracing::error!(
                dlq.open = MOST_OPEN,
                "so many dead letters are open that no more are recorded: replay or discard some"
            );
        }
        *known = Some((Instant::now(), full));
        full
    }
}

/// Records what arrives in the dead-letter stream; each letter for itself.
pub(crate) async fn record(parts: &Parts, room: &Room, deliveries: Vec<Delivery>) -> Vec<Verdict> {
    if room.is_full(&parts.database.reader).await {
        return vec![Verdict::Again; deliveries.len()];
    }
    join_all(deliveries.iter().map(|delivery| record_one(parts, delivery))).await
}

async fn record_one(parts: &Parts, delivery: &Delivery) -> Verdict {
    if header(delivery, COPY_HEADER).is_some() {
        return Verdict::Done;
    }
    let mut letter = letter(delivery, &parts.parking_key);
    let mut answer = write(parts, delivery, &letter).await;
    if answer.as_ref().is_err_and(|error| error.hope() == Hope::None) {
        // the bytes are what must not be lost; what was told beside them is in the stream
        tracing::error!(subject = %delivery.subject, "a dead letter is recorded without its headers and attempts");
        (letter.headers, letter.attempts) = (json!([]), json!([]));
        answer = write(parts, delivery, &letter).await;
    }
    point("deadletter.record", Moment::After);
    match verdict(&parts.stuck, delivery, answer) {
        Verdict::Park(why) => {
            tracing::error!(why, subject = %delivery.subject, "a dead letter cannot be recorded; it stays in its stream");
            Verdict::Done
        }
        other => other,
    }
}

async fn write(parts: &Parts, delivery: &Delivery, letter: &NewDeadLetter) -> Result<(), writer::Error> {
    parts.writer.enqueue(letter.clone(), delivery.traceparent.clone()).await
}

fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a str> {
    delivery.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn letter(delivery: &Delivery, key: &Key) -> NewDeadLetter {
    let original = original(delivery);
    let said = |name: &str| header(delivery, name).unwrap_or("parked").to_owned();
    let attempts = header(delivery, ATTEMPTS).map(parking::attempts).unwrap_or_default();
    let body: Value = streams::limits::json::stored(&delivery.payload).unwrap_or(Value::Null);
    let id = |name: &str| body.get(name).and_then(Value::as_str).and_then(|text| text.parse::<Uuid>().ok());
    let headers = delivery.headers.iter().map(|(name, value)| json!([name, value])).collect();
    let (platform, controller_id) = party(&original);
    let verified = is_verified(delivery, &original, key);
    NewDeadLetter {
        source: source(delivery.message_id.as_deref(), delivery.stream_sequence),
        event_id: id("event_id"),
        subject: original,
        reason: said(REASON),
        error: cut(said(ERROR), header(delivery, PAYLOAD_CUT), delivery.payload.len()),
        payload: delivery.payload.to_vec(),
        headers: Value::Array(headers),
        attempts: json!(attempts),
        entity: id("session_id")
            .map(|id| format!("session:{id}"))
            .or_else(|| id("install_id").map(|id| format!("application:{id}"))),
        controller_id,
        platform,
        count: header(delivery, REPEATS)
            .and_then(|text| text.parse::<i64>().ok())
            .map_or(1, |n| n.clamp(1, MOST_REPEATS)),
        copied: true,
        verified,
    }
}

/// The subject that it was parked from: the whole of it is beside, where what it was parked under is only the beginning.
fn original(delivery: &Delivery) -> String {
    let told = header(delivery, ORIGINAL_SUBJECT).filter(|told| subject::dead_letter(told) == delivery.subject);
    let parked = delivery.subject.strip_prefix(DEAD_LETTER_PREFIX).unwrap_or(&delivery.subject);
    told.unwrap_or(parked).to_owned()
}

/// The error, and that not all of the payload could be kept.
fn cut(error: String, bytes: Option<&str>, kept: usize) -> String {
    match bytes.and_then(|bytes| bytes.parse::<u64>().ok()) {
        Some(bytes) => format!(
            "{error} (its payload had {bytes} bytes, of which NATS could carry the first {kept} with the headers)"
        ),
        None => error,
    }
}

/// Whether an engine parked it. Anyone who may publish can put a message into the stream; what its subject says of where it comes
/// from is then no more than a claim.
fn is_verified(delivery: &Delivery, original: &str, key: &Key) -> bool {
    let signature = header(delivery, SIGNATURE).zip(delivery.message_id.as_deref());
    signature.is_some_and(|(signature, id)| key.has_signed(signature, original, id, &delivery.payload))
}

/// What a message of the dead-letter stream is called in the table: its id, or where it has none its place. An id that begins like
/// those of the engine's own letters, which never come this way, is told from them.
pub(crate) fn source(message_id: Option<&str>, sequence: u64) -> String {
    match message_id {
        None => format!("dlq:{sequence}"),
        Some(id) if [OWN, WORLD].iter().any(|own| id.starts_with(own)) => bounded_source(&format!("stream:{id}")),
        Some(id) => bounded_source(id),
    }
}

/// Platform and controller, where a subject of the durable lane names them.
fn party(original: &str) -> (Option<String>, Option<String>) {
    let mut tokens = original.split('.').skip(3);
    let platform = tokens.next().and_then(|name| Platform::try_new(name).ok());
    let controller = tokens.next().and_then(|name| ControllerId::try_new(name).ok());
    match (platform, controller, tokens.next()) {
        (platform @ Some(_), controller, None) => {
            (platform.map(|name| name.to_string()), controller.map(|id| id.to_string()))
        }
        _ => (None, None),
    }
}

/// Dead letters that the public stream does not have yet, as many as are not too large together, and whether there may be more.
pub(crate) async fn uncopied(
    db: &DatabaseConnection,
    link: &Link,
    limit: u64,
) -> Result<(Vec<(Uuid, Outgoing)>, bool), DbErr> {
    let select = dead_letter::Entity::find()
        .filter(Expr::cust("NOT copied")) // literally as in the partial index, so that SQLite uses it
        .order_by_asc(dead_letter::Column::CreatedMs)
        .limit(limit);
    let Rows { rows, cut } = bounded(db, select, |row| row.payload.len()).await?;
    let more = cut || rows.len() as u64 == limit;
    Ok((rows.into_iter().map(|row| (row.id, copy(row, link))).collect(), more))
}

fn copy(row: dead_letter::Model, link: &Link) -> Outgoing {
    let about = row.entity.map(|entity| (cloudevents::SUBJECT.to_owned(), entity));
    let headers = [
        (COPY_HEADER.to_owned(), row.id.to_string()),
        (REASON.to_owned(), row.reason),
        (ERROR.to_owned(), row.error.replace(['\r', '\n', '\0'], " ")),
        (ATTEMPTS.to_owned(), row.attempts.to_string()),
    ];
    let headers = headers.into_iter().chain(about).collect();
    parking::copy(&row.subject, format!("copy:{}", row.id), headers, row.payload.into(), link)
}

/// One dead letter.
///
/// # Errors
/// What the database says.
pub(crate) async fn get(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<dead_letter::Model>, DbErr> {
    dead_letter::Entity::find_by_id(id).one(db).await
}
