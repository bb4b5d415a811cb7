//! What becomes of commands that are in the outbox already: published, begun, ended, or to be sent again.

use std::collections::HashMap;

use sea_orm::{DatabaseTransaction, DbErr};
use serde_json::{Value, json};
use uuid::Uuid;

use super::work::Mark;
use crate::store::bulk::{self, Update};
use crate::store::event;

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
    marks: Vec<Value>,
}

impl Commands {
    pub(super) fn published(&mut self, marks: &[Mark]) {
        self.marks.extend(marks.iter().map(|mark| {
            json!({ "event_id": mark.event_id, "status": "published", "attempt": mark.attempt,
                "stream_epoch": mark.epoch, "stream_seq": mark.seq })
        }));
    }

    pub(super) fn started(&mut self, event_id: Uuid) {
        self.change(event_id, Change { status: "processing", ..Change::default() });
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

    fn change(&mut self, event_id: Uuid, change: Change) {
        let ended = self.changes.get(&event_id).is_some_and(|old| matches!(old.status, "completed" | "failed"));
        if !ended {
            self.changes.insert(event_id, change);
        }
    }

    /// Takes over what this transaction decided about commands that it also inserts.
    pub(super) fn fold_into(&mut self, rows: &mut [event::Model], now_ms: i64) {
        for row in rows.iter_mut().filter(|row| row.direction == event::Kind::Command.direction()) {
            if let Some(change) = self.changes.remove(&row.event_id) {
                change.apply(row, now_ms);
            }
        }
    }

    /// Writes it; says whether commands wait to be published.
    pub(super) async fn flush(&mut self, tx: &DatabaseTransaction, now_ms: i64) -> Result<bool, DbErr> {
        self.flush_marks(tx, now_ms).await?;
        let changes = std::mem::take(&mut self.changes);
        let (again, other): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, change)| change.again.is_some());
        flush_ends(tx, now_ms, other).await?;
        let any = !again.is_empty();
        flush_again(tx, again).await?;
        Ok(any)
    }

    /// `published` only where the row is still `pending` in the attempt that was published.
    async fn flush_marks(&mut self, tx: &DatabaseTransaction, now_ms: i64) -> Result<(), DbErr> {
        let at = timestamp(now_ms);
        let rows = std::mem::take(&mut self.marks).into_iter().map(|mut row| {
            row["published_at"] = json!(at);
            row
        });
        let update = Update {
            table: "event_log",
            key: bulk::uuid("event_id"),
            set: &[
                bulk::text("status"),
                bulk::time("published_at"),
                bulk::int("stream_epoch"),
                bulk::int("stream_seq"),
            ],
            read: &[bulk::int("attempt")],
            guard: "event_log.direction = 'out' AND event_log.status = 'pending' AND event_log.attempt = {attempt}",
        };
        update.run(tx, rows.collect()).await.map(drop)
    }
}

impl Change {
    fn apply(self, row: &mut event::Model, now_ms: i64) {
        row.status = Some(self.status.to_owned());
        row.error_message = self.error;
        if matches!(self.status, "completed" | "failed") {
            row.processed_by = self.processed_by;
            row.processed_ms = Some(now_ms);
            row.processed_at = chrono::DateTime::from_timestamp_millis(now_ms);
        }
        if let Some(again) = self.again {
            row.subject = again.subject;
            row.controller_id = again.controller_id;
            row.lane = again.lane.map(str::to_owned);
            row.attempt = again.attempt;
            row.ready = true;
        }
    }
}

fn timestamp(now_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default().to_rfc3339()
}

async fn flush_ends(tx: &DatabaseTransaction, now_ms: i64, changes: Vec<(Uuid, Change)>) -> Result<(), DbErr> {
    let rows = changes.into_iter().map(|(event_id, change)| {
        let ended = matches!(change.status, "completed" | "failed");
        json!({ "event_id": event_id, "status": change.status, "processed_by": change.processed_by,
            "error_message": change.error, "processed_ms": ended.then_some(now_ms),
            "processed_at": ended.then(|| timestamp(now_ms)) })
    });
    let update = Update {
        table: "event_log",
        key: bulk::uuid("event_id"),
        set: &[
            bulk::text("status"),
            bulk::text("processed_by"),
            bulk::text("error_message"),
            bulk::int("processed_ms"),
            bulk::time("processed_at"),
        ],
        read: &[],
        guard: "event_log.direction = 'out' AND event_log.status NOT IN ('completed', 'failed')",
    };
    update.run(tx, rows.collect()).await.map(drop)
}

async fn flush_again(tx: &DatabaseTransaction, changes: Vec<(Uuid, Change)>) -> Result<(), DbErr> {
    let rows = changes.into_iter().filter_map(|(event_id, change)| {
        let again = change.again?;
        Some(json!({ "event_id": event_id, "status": "pending", "subject": again.subject, "ready": true,
            "controller_id": again.controller_id, "lane": again.lane, "attempt": again.attempt,
            "claimed_until_ms": null, "stream_epoch": null, "stream_seq": null }))
    });
    let update = Update {
        table: "event_log",
        key: bulk::uuid("event_id"),
        set: &[
            bulk::text("status"),
            bulk::text("subject"),
            bulk::boolean("ready"),
            bulk::text("controller_id"),
            bulk::text("lane"),
            bulk::int("attempt"),
            bulk::int("claimed_until_ms"),
            bulk::int("stream_epoch"),
            bulk::int("stream_seq"),
        ],
        read: &[],
        guard: "event_log.direction = 'out' AND event_log.status NOT IN ('completed', 'failed')",
    };
    update.run(tx, rows.collect()).await.map(drop)
}
