//! What an operator does to JetStream itself.

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
    /// Why, for whoever asks later.
    #[oai(validator(min_length = 1, max_length = 500, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    reason: String,
}

/// Streams that were made anew.
#[derive(Debug, Object, Serialize)]
struct RebuiltStreams {
    /// The epoch of the command stream from now on.
    epoch: i64,
    /// Open commands that are published again.
    commands: u64,
}

pub(crate) struct Rebuild(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl Rebuild {
    /// Rebuild the streams from the log
    ///
    /// Deletes the streams of commands and reports, makes them anew under a new epoch, publishes every open command again and has
    /// controllers tell what exists. What was done already is not done again. The stream of dead letters stays. The log keeps who
    /// ordered it and why.
    #[oai(path = "/admin/streams/rebuild", method = "post", operation_id = "rebuild_streams")]
    async fn rebuild(
        &self,
        caller: Caller,
        body: Body<RebuildOrder>,
    ) -> Result<Json<RebuiltStreams>, Refused<Creation>> {
        let RebuildOrder { reason } = body.check(|order| unsaid(&order.reason))?;
        let rebuilt = self.0.rebuild_streams(reason, caller.0.name).await?;
        Ok(Json(RebuiltStreams { epoch: rebuilt.epoch, commands: rebuilt.commands as u64 }))
    }
}
