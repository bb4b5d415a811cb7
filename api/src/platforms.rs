//! Platforms, and whether they accept sessions now.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::request::PLATFORMS;
use engine::{Engine, queries};
use machine::placement::{Candidate, Place, choose};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use crate::auth::Caller;
use crate::controllers::lane;
use crate::cursor::Page;
use crate::document::Tag;
use crate::json::Json;
use crate::problem::{Listing, Refused, database};

/// A platform, as its controllers report it.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Platform {
    /// Its name, as used by sessions.
    platform: String,
    /// Number of controllers that ever reported.
    controllers: u32,
    /// Number of those that get new work.
    healthy: u32,
    /// Number of further sessions that fit; null if a controller announced no maximum.
    capacity_free: Option<u32>,
    /// `durable` or `core`; null without a controller.
    lane: Option<String>,
    /// Whether a new session would be placed now.
    accepting: bool,
    /// Why not; such a session waits until it is.
    reason: Option<String>,
}

impl Platform {
    fn of(platform: &str, candidates: &[Candidate]) -> Self {
        let mine: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.platform == platform).collect();
        let ready: Vec<&&Candidate> = mine.iter().filter(|candidate| candidate.ready).collect();
        let free = |candidate: &&&Candidate| candidate.room.map(|room| room.saturating_sub(candidate.load));
        let (accepting, reason, chosen) = match choose(platform, candidates) {
            Place::Chosen { lane, .. } => (true, None, Some(lane)),
            Place::Wait(reason) => (false, Some(reason), None),
        };
        Self {
            platform: platform.to_owned(),
            controllers: mine.len() as u32,
            healthy: ready.len() as u32,
            capacity_free: ready.iter().map(free).sum(),
            lane: chosen.or(mine.first().map(|candidate| candidate.lane)).map(|chosen| lane(chosen).to_owned()),
            accepting,
            reason,
        }
    }
}

pub(crate) struct Platforms(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl Platforms {
    /// List platforms
    ///
    /// Those of the contract, and others that a controller has reported.
    #[oai(path = "/platforms", method = "get", operation_id = "list_platforms")]
    async fn list(&self, _caller: Caller) -> Result<Json<Page<Platform>>, Refused<Listing>> {
        let rows = queries::controllers(self.0.reader()).await.map_err(database)?;
        let candidates: Vec<Candidate> = rows.iter().map(|row| row.candidate("sessions", row.reported())).collect();
        let reported = candidates.iter().map(|candidate| candidate.platform.as_str());
        let names: BTreeSet<&str> = reported.chain(PLATFORMS).collect();
        let items = names.into_iter().map(|name| Platform::of(name, &candidates)).collect();
        Ok(Json(Page { items, next_cursor: None }))
    }
}
