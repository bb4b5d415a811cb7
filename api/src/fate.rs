//! The fate of an event: where it is now, and the steps that led there.

use std::sync::Arc;

use engine::Engine;
use engine::fate::{Fate, Hop};
use engine::store::dead_letter;
use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use crate::auth::Caller;
use crate::document::Tag;
use crate::json::Json;
use crate::problem::{Lookup, Refused};
use crate::timestamp::Timestamp;

/// The fate of an event.
#[derive(Debug, Object, Serialize)]
struct EventFate {
    /// The event.
    event_id: Uuid,
    /// `command`, `report` or `decision`.
    kind: String,
    /// Subject.
    subject: String,
    /// The entity it is about, such as `session:<id>`.
    entity: String,
    /// Its state. A command is `waiting`, `in_flight`, `working`, `retrying`, `completed`, `superseded`,
    /// `dead_lettered`, `failed`, or `unaccounted`, which is a defect; a report is `applied` or `superseded`; a
    /// decision is `decided`. Open: values may be added.
    verdict: String,
    /// The state in a sentence.
    sentence: String,
    /// Time of the last known step.
    since: Timestamp,
    /// All known steps, oldest first.
    hops: Vec<EventHop>,
    /// Epoch of the stream in which a command was published.
    stream_epoch: Option<i64>,
    /// Its sequence there.
    stream_seq: Option<i64>,
    /// Delivery state in JetStream at this moment: `queued`, `handed_out`, `acknowledged`, `unserved` (there is
    /// no consumer), `lost` (with its stream), or `unknown` (JetStream does not answer).
    delivery: Option<String>,
    /// Number of commands before it in the outbox; at most 1000 are counted.
    ahead: Option<u64>,
    /// When it is retried.
    next_attempt_at: Option<Timestamp>,
    /// When its silence is dealt with.
    deadline_at: Option<Timestamp>,
    /// The command that superseded it.
    superseded_by: Option<Uuid>,
    /// Its dead letter, if it was given up.
    dead_letter: Option<FateLetter>,
}

/// A step of an event.
#[derive(Debug, Object, Serialize)]
struct EventHop {
    /// Time of the step.
    at: Timestamp,
    /// `accepted`, `decided`, `published`, `attempt_failed`, `reported`, `replayed`, `dead_lettered`, or the
    /// verdict that it ended with.
    step: String,
    /// Description.
    text: String,
    /// The row of the log that records it, if it is not the event's own.
    event_id: Option<Uuid>,
    /// Number of the attempt.
    attempt: Option<i64>,
}

/// The dead letter of a command.
#[derive(Debug, Object, Serialize)]
struct FateLetter {
    /// Its id.
    id: Uuid,
    /// Its reason.
    reason: String,
    /// `open`, `replayed` or `discarded`.
    status: String,
}

impl From<Fate> for EventFate {
    fn from(fate: Fate) -> Self {
        let since = fate.hops.last().map_or(fate.event.created_ms, |hop| hop.at_ms);
        Self {
            event_id: fate.event.event_id,
            kind: fate.event.kind,
            subject: fate.event.subject,
            entity: fate.event.entity,
            verdict: fate.verdict.as_str().into(),
            sentence: fate.sentence,
            since: Timestamp::from_ms(since),
            hops: fate.hops.into_iter().map(Into::into).collect(),
            stream_epoch: fate.event.stream_epoch,
            stream_seq: fate.event.stream_seq,
            delivery: fate.delivery.map(|delivery| delivery.as_str().into()),
            ahead: fate.ahead,
            next_attempt_at: fate.next_attempt_ms.map(Timestamp::from_ms),
            deadline_at: fate.deadline_ms.map(Timestamp::from_ms),
            superseded_by: fate.superseded_by,
            dead_letter: fate.dead_letter.map(Into::into),
        }
    }
}

impl From<Hop> for EventHop {
    fn from(hop: Hop) -> Self {
        let (at, step) = (Timestamp::from_ms(hop.at_ms), hop.step.to_owned());
        Self { at, step, text: hop.text, event_id: hop.event_id, attempt: hop.attempt }
    }
}

impl From<dead_letter::Model> for FateLetter {
    fn from(row: dead_letter::Model) -> Self {
        Self { id: row.id, reason: row.reason, status: row.status }
    }
}

pub(crate) struct Fates(pub(crate) Arc<Engine>);

#[OpenApi]
impl Fates {
    /// Read the fate of an event
    ///
    /// Where it is now, in one word and in a sentence, and every step that led there: the outbox, JetStream,
    /// each attempt, the reports and what they changed, or its dead letter. JetStream is queried at this
    /// moment; while it does not answer, its part is `unknown`.
    #[oai(path = "/events/:event_id/fate", method = "get", operation_id = "get_event_fate", tag = "Tag::Events")]
    async fn get(&self, caller: Caller, event_id: Path<Uuid>) -> Result<Json<EventFate>, Refused<Lookup>> {
        Ok(Json(caller.on(&self.0).fate(event_id.0).await?.into()))
    }
}
