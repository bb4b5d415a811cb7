//! How much of a log may go: decided on its rows alone.

use std::collections::HashSet;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::fold::{Folding, PRUNED};
use crate::store::event;

/// What has to stay.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Rows that are younger.
    pub before_ms: i64,
    /// The newest row of the whole log: the feed goes on from it.
    pub newest: i64,
    /// Commands and messages that somebody may still decide about.
    pub held: HashSet<Uuid>,
}

/// The rows at the beginning of a log that may go.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach<'a> {
    /// They are the first of the log.
    pub rows: &'a [event::Model],
    /// What they add up to, for the snapshot that takes their place; `None` where the whole log goes, because its record did.
    pub facts: Option<Map<String, Value>>,
}

/// What may go of a log; `None` where that would gain nothing, or where the log does not fold.
///
/// The rows are those of one entity in the order of folding, from its first on.
#[must_use]
pub fn reach<'a>(log: &'a [event::Model], limits: &Limits) -> Option<Reach<'a>> {
    let end = log.iter().position(|row| !may_go(row, limits)).unwrap_or(log.len());
    let rows = &log[..end];
    if end == log.len() && rows.last().is_some_and(|last| PRUNED.contains(&last.subject.as_str())) {
        return Some(Reach { rows, facts: None });
    }
    if rows.len() < 2 {
        return None;
    }
    let mut folding = Folding::default();
    for row in rows {
        folding.take(&row.entity, row.entity_seq, &row.subject, row.changes.clone().map(Value::from)).ok()?;
    }
    Some(Reach { rows, facts: Some(folding.facts()) })
}

/// Old, ended, and of no interest to anybody.
fn may_go(row: &event::Model, limits: &Limits) -> bool {
    let ended = matches!(row.status.as_deref(), Some("completed" | "failed"));
    ended && row.created_ms <= limits.before_ms && row.id < limits.newest && !limits.held.contains(&row.event_id)
}
