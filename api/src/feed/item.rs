//! An item of the feed: a row of the log, with its owner.

use engine::feed;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// A row of the log in the live feed.
#[derive(Debug, Object, Serialize)]
#[oai(rename = "FeedItem", example)]
pub(super) struct FeedItem {
    /// Its position in the feed; pass it as `after` to continue after it. Opaque.
    id: String,
    /// Identity of the event; a command and the decision about it may share one.
    event_id: Uuid,
    /// Subject.
    subject: String,
    /// `command`, `report` or `decision`.
    kind: String,
    /// The entity it is about, such as `session:<id>`.
    entity: String,
    /// Position in the entity's log, from 1.
    entity_seq: i64,
    /// The generation that it belongs to.
    generation: i64,
    /// The row's progress when it was read: a command's further progress causes no item until its end does.
    status: Option<String>,
    /// When it was written.
    at: Timestamp,
    /// User that it belongs to, if any.
    user_id: Option<String>,
    /// Platform that it concerns, if any.
    platform: Option<String>,
    /// Columns that it changed, with the new values.
    changes: Option<Value>,
    /// Payload.
    payload: Value,
}

impl From<&feed::Item> for FeedItem {
    fn from(item: &feed::Item) -> Self {
        Self {
            id: item.position.to_string(),
            event_id: item.event_id,
            subject: item.subject.clone(),
            kind: item.kind.clone(),
            entity: item.entity.clone(),
            entity_seq: item.entity_seq,
            generation: item.generation,
            status: item.status.clone(),
            at: Timestamp::from_ms(item.at_ms),
            user_id: item.user_id.clone(),
            platform: item.platform.clone(),
            changes: item.changes.clone(),
            payload: item.payload.clone(),
        }
    }
}

/// The JSON of an item in one line, built once for all watchers.
pub(super) fn text(item: &feed::Item) -> &str {
    item.text(|item| serde_json::to_string(&FeedItem::from(item)).unwrap_or_default()) // plain data always serializes
}

impl Example for FeedItem {
    fn example() -> Self {
        let session_id = "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17";
        Self {
            id: "2f1.1c.b1f03a52".into(),
            event_id: Uuid::from_u128(0x0198_f3c2_7a11_7d02_8e44_51c9_b1f0_3a52),
            subject: "streamspace.session.status.docker.host-1".into(),
            kind: "report".into(),
            entity: format!("session:{session_id}"),
            entity_seq: 3,
            generation: 1,
            status: Some("completed".into()),
            at: Timestamp::from_ms(1_767_225_600_000),
            user_id: Some("ada".into()),
            platform: Some("docker".into()),
            changes: Some(json!({ "status": "running" })),
            payload: json!({ "session_id": session_id, "status": "running" }),
        }
    }
}
