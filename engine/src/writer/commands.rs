//! What becomes of commands that are in the outbox already: published, begun, ended, or to be sent again.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr, Value};
use streams::crash::{Moment, point};
use uuid::Uuid;

use super::outcome::Outcome;
use super::work::Mark;
use crate::relay::{Flight, Published};
use crate::store::bulk::Update;
use crate::store::event;

/// `published` only where the row is still `pending` in the attempt that was published.
static PUBLISHED: LazyLock<Update> = LazyLock::new(|| {
    let pending = "event_log.direction = 'out' AND event_log.status = 'pending' AND event_log.attempt = v.attempt";
    let set = ["status", "published_at", "stream_epoch", "stream_seq"];
    Update::new("event_log", "event_id", set).guarded(pending, &["attempt"])
});

/// The status of a command that its controller has begun.
const BEGUN: &str = "processing";
/// An end is final.
const OPEN: &str = "event_log.direction = 'out' AND event_log.status NOT IN ('completed', 'failed')";

static ENDED: LazyLock<Update> = LazyLock::new(|| {
    let set = ["status", "processed_by", "error_message", "processed_ms", "processed_at"];
    let published = ["published_at", "stream_epoch", "stream_seq"];
    Update::new("event_log", "event_id", set).keeping(&published).guarded(OPEN, &[])
});

static AGAIN: LazyLock<Update> = LazyLock::new(|| {
    let set = ["status", "subject", "ready", "controller_id", "lane", "attempt"];
    let unset = ["claimed_until_ms", "stream_epoch", "stream_seq"];
    Update::new("event_log", "event_id", set.into_iter().chain(unset)).guarded(OPEN, &[])
});

/// The columns that a command's end or restart may set.
#[derive(Debug, Clone, Default)]
struct Change {
    status: &'static str,
    processed_by: Option<String>,
    error: Option<String>,
    /// Set where it is sent again.
    again: Option<Again>,
}

#[derive(Debug, Clone)]
struct Again {
    subject: String,
    controller_id: Option<String>,
    lane: Option<&'static str>,
    attempt: i32,
}

/// Changes of commands in one transaction, by the command's id. The last change of a command wins, but an end is final.
#[derive(Debug, Default)]
pub(super) struct Commands {
    changes: HashMap<Uuid, Change>,
    marks: Vec<Mark>,
}

impl Commands {
    pub(super) fn published(&mut self, marks: &[Mark]) {
        self.marks.extend_from_slice(marks);
    }

    pub(super) fn started(&mut self, event_id: Uuid) {
        self.change(event_id, Change { status: BEGUN, ..Change::default() });
    }

    pub(super) fn ended(&mut self, event_id: Uuid, failed: bool, by: Option<String>, error: Option<String>) {
        let status = if failed { "failed" } else { "completed" };
        self.change(event_id, Change { status, processed_by: by, error, again: None });
    }

    pub(super) fn again(
        &mut self,
        event_id: Uuid,
        subject: String,
        controller_id: Option<String>,
        lane: Option<&'static str>,
        attempt: i32,
    ) {
        let again = Some(Again { subject, controller_id, lane, attempt });
        self.change(event_id, Change { status: "pending", again, ..Change::default() });
    }

    /// Whether some controller has room again: a command that was begun waits before it no more.
    pub(super) fn make_room(&self) -> bool {
        self.changes.values().any(|change| change.ends() || change.status == BEGUN)
    }

    /// How many were published.
    pub(super) fn marked(&self) -> i64 {
        self.marks.len() as i64
    }

    fn change(&mut self, event_id: Uuid, change: Change) {
        let ended = self.changes.get(&event_id).is_some_and(Change::ends);
        if !ended {
            self.changes.insert(event_id, change);
        }
    }

    /// Takes over what this transaction decided about commands that it also inserts.
    pub(super) fn fold_into(&mut self, rows: &mut [event::Row], now_ms: i64) {
        for row in rows.iter_mut().filter(|row| row.kind == event::Kind::Command) {
            if let Some(change) = self.changes.remove(&row.event_id) {
                change.apply(row, now_ms);
            }
        }
    }

    /// Writes it, and what is not yet written of publications; says whether commands wait to be published.
    pub(super) async fn flush(
        &mut self,
        tx: &DatabaseTransaction,
        now_ms: i64,
        flight: &Flight,
        outcome: &mut Outcome,
    ) -> Result<bool, DbErr> {
        let changes = std::mem::take(&mut self.changes);
        let mut published = flight.of(changes.keys());
        let (ends, goes_on): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, change)| change.ends());
        let (again, begun): (Vec<_>, Vec<_>) = goes_on.into_iter().partition(|(_, change)| change.again.is_some());
        let due = flight.due().into_iter().filter(|due| !published.contains_key(&due.mark.event_id));
        let mut marks: Vec<Published> =
            self.marks.drain(..).map(|mark| Published { mark, ago_ms: 0 }).chain(due).collect();
        marks.extend(begun.iter().filter_map(|(id, _)| published.remove(id)));
        outcome.told.extend(ends.iter().chain(&again).map(|(id, _)| *id));
        outcome.told.extend(marks.iter().map(|due| due.mark.event_id));
        outcome.marked = !(marks.is_empty() && published.is_empty());
        if outcome.marked {
            point("relay.mark", Moment::Before);
        }
        flush_marks(tx, now_ms, marks).await?;
        let ends = ends.into_iter().map(|(id, change)| (id, change, published.remove(&id)));
        let begun = begun.into_iter().map(|(id, change)| (id, change, None));
        ENDED.run(tx, ends.chain(begun).map(|ended| ended_row(now_ms, ended)).collect()).await?;
        if outcome.marked {
            point("relay.mark", Moment::During);
        }
        let any = !again.is_empty();
        flush_again(tx, again).await?;
        Ok(any)
    }
}

async fn flush_marks(tx: &DatabaseTransaction, now_ms: i64, marks: Vec<Published>) -> Result<(), DbErr> {
    let rows = marks.into_iter().map(|Published { mark, ago_ms }| {
        let at = timestamp(now_ms - ago_ms);
        let Mark { event_id, attempt, epoch, seq } = mark;
        vec![event_id.into(), "published".into(), at.into(), epoch.into(), seq.into(), attempt.into()]
    });
    PUBLISHED.run(tx, rows.collect()).await.map(drop)
}

impl Change {
    fn ends(&self) -> bool {
        matches!(self.status, "completed" | "failed")
    }

    fn apply(self, row: &mut event::Row, now_ms: i64) {
        row.status = self.status;
        if self.ends() {
            row.processed_by = self.processed_by;
            row.processed_ms = Some(now_ms);
            row.processed_at = timestamp(now_ms);
        }
        row.error_message = self.error;
        if let Some(again) = self.again {
            row.subject = again.subject;
            row.controller_id = again.controller_id;
            row.lane = again.lane;
            row.attempt = again.attempt;
            row.ready = true;
        }
    }
}

fn timestamp(now_ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(now_ms)
}

/// What is written of a command that ended or began, with its publication, where that was not written before.
fn ended_row(now_ms: i64, (event_id, change, published): (Uuid, Change, Option<Published>)) -> Vec<Value> {
    let ended = change.ends().then_some(now_ms);
    let at = ended.and_then(timestamp);
    let published_at = published.as_ref().and_then(|published| timestamp(now_ms - published.ago_ms));
    let mark = published.map(|published| published.mark);
    vec![
        event_id.into(),
        change.status.into(),
        change.processed_by.into(),
        change.error.into(),
        ended.into(),
        at.into(),
        published_at.into(),
        mark.as_ref().and_then(|mark| mark.epoch).into(),
        mark.and_then(|mark| mark.seq).into(),
    ]
}

async fn flush_again(tx: &DatabaseTransaction, changes: Vec<(Uuid, Change)>) -> Result<(), DbErr> {
    let row = |(event_id, change): (Uuid, Change)| -> Option<Vec<Value>> {
        let again = change.again?;
        let lane = again.lane.map(str::to_owned);
        let unknown = None::<i64>;
        Some(vec![
            event_id.into(),
            "pending".into(),
            again.subject.into(),
            true.into(),
            again.controller_id.into(),
            lane.into(),
            again.attempt.into(),
            unknown.into(),
            unknown.into(),
            unknown.into(),
        ])
    };
    AGAIN.run(tx, changes.into_iter().filter_map(row).collect()).await.map(drop)
}
