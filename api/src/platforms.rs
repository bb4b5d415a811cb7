//! Platforms, and whether they accept sessions now.

use std::sync::Arc;

use engine::{Announced, Engine};
use machine::placement::{Candidate, Place, choose};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::controllers::lane;
use crate::cursor::Page;
use crate::document::Tag;
use crate::json::Json;
use crate::problem::{Listing, Refused};

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
    /// What its controllers serve: `sessions`, `applications`, `templates`, `nodes`, `homes` and others.
    capabilities: Vec<String>,
    /// Attributes that its controllers announce, such as `os`, `architecture`, `gpu` and `images`, each with a list of
    /// its values on all controllers.
    attributes: Value,
    /// What a session keeps while it is hibernated: `filesystem` (every file), `paths` (files below its home and the
    /// mount paths of its template) or `nothing`; null if a controller did not say.
    keeps: Option<String>,
    /// The JSON Schema of its block in templates (`spec.<platform>`); null if no controller has announced one, or if
    /// the list would become too large.
    template_schema: Option<Value>,
    /// Identifies that schema.
    template_schema_hash: Option<String>,
}

/// Bytes of schemas in one list.
const SCHEMAS_MAX: usize = 1 << 20;

impl Platform {
    fn of(platform: &str, candidates: &[Candidate], announced: Announced) -> Self {
        let mine: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.platform == platform).collect();
        let ready: Vec<&&Candidate> = mine.iter().filter(|candidate| candidate.ready).collect();
        let free = |candidate: &&&Candidate| candidate.room.map(|room| room.saturating_sub(candidate.load));
        let (accepting, reason, chosen) = match choose(platform, candidates) {
            Place::Chosen { lane, .. } => (true, None, Some(lane)),
            Place::Wait(reason) => (false, Some(reason), None),
        };
        let (template_schema_hash, template_schema) = announced.template_schema.unzip();
        Self {
            platform: platform.to_owned(),
            controllers: mine.len() as u32,
            healthy: ready.len() as u32,
            capacity_free: ready.iter().map(free).sum(),
            lane: chosen.or(mine.first().map(|candidate| candidate.lane)).map(|chosen| lane(chosen).to_owned()),
            accepting,
            reason,
            capabilities: announced.capabilities.into_iter().collect(),
            attributes: json!(announced.attributes),
            keeps: announced.keeps.map(|keeps| keeps.as_str().to_owned()),
            template_schema,
            template_schema_hash,
        }
    }
}

pub(crate) struct Platforms(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl Platforms {
    /// List platforms
    ///
    /// The platforms that controllers have announced, alive or not, and those that this installation names itself: its
    /// default, and those of its built-in templates.
    #[oai(path = "/platforms", method = "get", operation_id = "list_platforms")]
    async fn list(&self, caller: Caller) -> Result<Json<Page<Platform>>, Refused<Listing>> {
        let acting = caller.on(&self.0);
        let rows = acting.controllers().await?;
        let candidates: Vec<Candidate> = rows.iter().map(|row| row.candidate("sessions", row.reported())).collect();
        let announced = acting.platforms().await?;
        let mut items: Vec<Platform> =
            announced.into_iter().map(|(name, announced)| Platform::of(&name, &candidates, announced)).collect();
        bound(&mut items);
        Ok(Json(Page { items, next_cursor: None }))
    }
}

/// Leaves out the schemas beyond the bound of a list.
fn bound(items: &mut [Platform]) {
    let mut bytes = 0;
    for item in items {
        bytes += item.template_schema.as_ref().map_or(0, |schema| schema.to_string().len());
        if bytes > SCHEMAS_MAX {
            item.template_schema = None;
        }
    }
}
