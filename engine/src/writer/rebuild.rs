//! What happens when an operator has the streams rebuilt: the log says so, before it is done.

use serde_json::json;
use uuid::Uuid;

use super::Error;
use super::batch::Batch;
use super::work::Done;
use crate::store::event;

/// What the streams are called in `event_log.entity`.
pub(super) const ENTITY: &str = "jetstream";

impl Batch<'_> {
    pub(super) fn rebuild_ordered(&mut self, why: &str, by: &str, trace: Option<&str>) -> Result<Done, Error> {
        let gap = || Error::Conflict(format!("the log of {ENTITY} has a gap; `streamspace verify` tells where"));
        let last = self.logs.get(ENTITY).ok_or_else(gap)?.last().unwrap_or(0);
        let subject = "streamspace.decision.streams_rebuilt".to_owned();
        let mut row = self.log_row(event::Kind::Decision, Uuid::now_v7(), subject, ENTITY.to_owned());
        row.payload = json!({ "decision": "streams_rebuilt", "by": by, "reason": why }).into();
        row.entity_seq = last + 1;
        row.traceparent = trace.map(str::to_owned);
        if let Some(folding) = self.logs.get_mut(ENTITY) {
            folding.take(ENTITY, row.entity_seq, &row.subject, None).map_err(|_| gap())?;
        }
        self.log.push(row);
        Ok(Done::Written)
    }
}
