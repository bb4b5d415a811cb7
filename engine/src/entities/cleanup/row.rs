//! A pending clean-up's row as it is first written, and its command's payload.

use machine::debt::Decision;
use serde_json::{Map, Value, json};
use streams::wire::SessionCommand;
use uuid::Uuid;

use crate::entities::{cleanup, session};
use crate::store::text::Body;

pub(crate) fn first_row(
    debt_id: Uuid,
    session: &session::Model,
    controller_id: &str,
    decision: &Decision,
    now_ms: i64,
) -> cleanup::Model {
    let mut row = cleanup::Model {
        debt_id,
        session_id: session.session_id,
        controller_id: controller_id.to_owned(),
        user_id: session.user_id.clone(),
        platform: session.platform.clone(),
        created_ms: now_ms,
        ..cleanup::Model::default()
    };
    row.assume(decision.debt.clone(), now_ms);
    row
}

/// The first facts, and what the machine knows nothing of.
pub(crate) fn first_changes(row: &cleanup::Model, mut hard: Map<String, Value>) -> Map<String, Value> {
    let also =
        [("session_id", json!(row.session_id)), ("user_id", json!(row.user_id)), ("platform", json!(row.platform))];
    hard.extend(also.map(|(name, value)| (name.to_owned(), value)));
    hard
}

pub(crate) fn command(row: &cleanup::Model, generation: i64, attempt: i32, event_id: Uuid, now_ms: i64) -> Body {
    let timestamp = chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
    let (session_id, user_id, platform) = (row.session_id, row.user_id.clone(), row.platform.clone());
    let force = Some(true);
    Body::object(&SessionCommand { event_id, timestamp, session_id, user_id, platform, force, generation, attempt })
}
