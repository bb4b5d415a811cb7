//! Operators' actions on JetStream itself.

use std::sync::Arc;

use engine::Engine;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};

use crate::auth::Caller;
use crate::body::Body;
use crate::document::Tag;
use crate::json::Json;
use crate::operators::unsaid;
use crate::problem::{Creation, Refused};

/// An order to rebuild the streams.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
struct RebuildOrder {
    /// Reason, kept in the log.
    #[oai(validator(min_length = 1, max_length = 500, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    reason: String,
}

/// Rebuilt streams.
#[derive(Debug, Object, Serialize)]
struct RebuiltStreams {
    /// New epoch of the command stream.
    epoch: i64,
    /// Number of open commands that are published again.
    commands: u64,
}

pub(crate) struct Rebuild(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl Rebuild {
    /// Rebuild the streams from the log
    ///
    /// Deletes the streams of commands and reports, recreates them under a new epoch, publishes every open
    /// command again and requests the controllers' inventories. Nothing is done twice. The stream of dead
    /// letters stays. The log keeps who ordered it and why.
    #[oai(path = "/admin/streams/rebuild", method = "post", operation_id = "rebuild_streams")]
    async fn rebuild(
        &self,
        caller: Caller,
        body: Body<RebuildOrder>,
    ) -> Result<Json<RebuiltStreams>, Refused<Creation>> {
        let RebuildOrder { reason } = body.check(|order| unsaid(&order.reason))?;
        let rebuilt = caller.on(&self.0).rebuild_streams(reason).await?;
        Ok(Json(RebuiltStreams { epoch: rebuilt.epoch, commands: rebuilt.commands as u64 }))
    }
}
