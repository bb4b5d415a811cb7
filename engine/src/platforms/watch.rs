//! Follows what controllers announce: stores it, asks for schemas that are new, and refreshes the view that requests are
//! checked against.
//!
//! Every engine has this loop. Heartbeats reach one engine each, so the table carries announcements and schemas to the
//! others, within a round.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use sea_orm::DbErr;
use serde_json::Value;
use streams::tasks::Task;
use streams::wire::{Heartbeat, Keeps};
use tokio::sync::Notify;

use super::{OfPlatform, Platforms, Schema, View};
use crate::parts::Parts;
use crate::queries;
use crate::questions::ask_for_schema;
use crate::store::{announcement, controller};

/// Between two rounds, if no controller announces something new.
const PAUSE: Duration = Duration::from_secs(1);
/// After a controller has not answered, or not with an acceptable schema, until it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// Controllers that are asked at the same time.
const AT_ONCE: usize = 8;

/// Announcements that have come with heartbeats and are not stored yet; at most one a controller.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// With the last announcement of each controller, so that its repetitions cost nothing.
    last: Mutex<HashMap<String, (announcement::Model, bool)>>,
    new: Notify,
}

impl Said {
    /// Takes in the heartbeat of an admitted controller.
    pub(crate) fn heard(&self, row: &controller::Model, beat: &Heartbeat) {
        let said = announcement::Model {
            controller_id: row.controller_id.clone(),
            platform: row.platform.clone(),
            schema_hash: beat.template_schema_hash.clone().filter(|hash| !hash.is_empty() && row.protocol >= 2),
            template_schema: None,
            attributes: Value::Object(beat.attributes.clone()),
            keeps: beat.keeps.map(|keeps| keeps.as_str().to_owned()),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.get(&row.controller_id).is_none_or(|(before, _)| *before != said) {
            last.insert(row.controller_id.clone(), (said, false));
            self.new.notify_one();
        }
    }

    fn unstored(&self) -> Vec<announcement::Model> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.values().filter(|(_, stored)| !stored).map(|(said, _)| said.clone()).collect()
    }

    fn stored(&self, said: &announcement::Model) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, stored)) = last.get_mut(&said.controller_id).filter(|(last, _)| last == said) {
            *stored = true;
        }
    }

    /// Takes over what is stored, which another engine may have written, and forgets controllers that are gone.
    fn refresh(&self, known: &HashSet<&str>, announced: &[announcement::Announcement]) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|id, _| known.contains(id.as_str()));
        for one in announced {
            match last.get_mut(&one.controller_id) {
                Some((_, false)) => {}
                Some((said, true)) => *said = one.model(),
                None => drop(last.insert(one.controller_id.clone(), (one.model(), true))),
            }
        }
    }
}

/// What one run of the loop remembers.
#[derive(Debug, Default)]
struct Memory {
    /// Compiled schemas by platform and hash; `None` for one that is stored and not accepted.
    compiled: HashMap<(String, String), Option<Arc<Schema>>>,
    /// When a controller was last asked in vain, by its id and the hash.
    in_vain: HashMap<(String, String), Instant>,
}

/// Runs until it is cancelled.
pub(crate) async fn run(parts: Parts, task: Task) {
    let mut memory = Memory::default();
    let cancel = task.cancel().clone();
    while !cancel.is_cancelled() {
        if let Err(error) = task.round(round(&parts, &mut memory)).await {
            tracing::warn!(%error, "announcements of controllers cannot be read or stored");
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = parts.platforms.said().new.notified() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn round(parts: &Parts, memory: &mut Memory) -> Result<(), DbErr> {
    let said = parts.platforms.said();
    let mut announced = announcement::all(&parts.database.reader).await?;
    let unstored = said.unstored();
    for one in &unstored {
        if !announced.iter().any(|stored| stored.model() == *one) {
            announcement::put(&parts.database.writer, one.clone()).await?;
        }
        said.stored(one);
    }
    let rows = queries::controllers(&parts.database.reader).await?;
    if !unstored.is_empty() {
        announced = announcement::all(&parts.database.reader).await?;
    }
    said.refresh(&rows.iter().map(|row| row.controller_id.as_str()).collect(), &announced);
    if announced.iter().any(|one| !rows.iter().any(|row| row.controller_id == one.controller_id)) {
        announcement::prune(&parts.database.writer).await?;
    }
    let by_id: HashMap<&str, &controller::Model> = rows.iter().map(|row| (row.controller_id.as_str(), row)).collect();
    let counts = |one: &announcement::Announcement| {
        by_id.get(one.controller_id.as_str()).is_some_and(|row| row.admitted && !row.revoked)
    };
    announced.retain(counts);
    complete(parts, memory, &by_id, &mut announced).await?;
    memory.forget(&announced);
    compile(parts, memory, &announced).await?;
    publish(&parts.platforms, view(memory, &rows, &announced));
    Ok(())
}

/// Finds the schemas that are announced and not stored: another controller has answered with the same one, or this one
/// is asked.
async fn complete(
    parts: &Parts,
    memory: &mut Memory,
    rows: &HashMap<&str, &controller::Model>,
    announced: &mut [announcement::Announcement],
) -> Result<(), DbErr> {
    let mut asking = Vec::new();
    for one in announced.iter_mut().filter(|one| !one.has_schema) {
        let Some(hash) = one.schema_hash.clone() else { continue };
        if let Some(schema) = announcement::schema(&parts.database.reader, &one.platform, &hash).await? {
            announcement::put_schema(&parts.database.writer, &one.controller_id, &hash, schema).await?;
            one.has_schema = true;
            continue;
        }
        let key = (one.controller_id.clone(), hash.clone());
        let waits = memory.in_vain.get(&key).is_some_and(|at| at.elapsed() < ASK_AGAIN);
        if let Some(row) = rows.get(one.controller_id.as_str()).filter(|_| !waits) {
            asking.push(async move { (key, one, answered(parts, row).await) });
        }
    }
    let mut answers = futures::stream::iter(asking).buffer_unordered(AT_ONCE);
    while let Some((key, one, answer)) = answers.next().await {
        match answer {
            Ok(schema) => {
                announcement::put_schema(&parts.database.writer, &key.0, &key.1, schema).await?;
                one.has_schema = true;
                tracing::info!(
                    controller.id = key.0,
                    platform = one.platform,
                    schema.hash = key.1,
                    "has a template schema"
                );
            }
            Err(error) => {
                tracing::warn!(
                    controller.id = key.0,
                    platform = one.platform,
                    error,
                    "the template schema of a controller is not used"
                );
                memory.in_vain.insert(key, Instant::now());
            }
        }
    }
    Ok(())
}

/// The schema that a controller answers with, if it can be accepted.
async fn answered(parts: &Parts, row: &controller::Model) -> Result<Value, String> {
    let document = ask_for_schema(&parts.link.client, row).await.map_err(|error| error.to_string())?;
    Schema::compile(document).map(|schema| schema.document).map_err(|error| error.to_string())
}

impl Memory {
    /// Drops what nobody announces any more.
    fn forget(&mut self, announced: &[announcement::Announcement]) {
        let named = |id: &str, hash: &str| {
            announced.iter().any(|one| one.controller_id == id && one.schema_hash.as_deref() == Some(hash))
        };
        self.in_vain.retain(|(id, hash), _| named(id, hash));
        let used = |platform: &str, hash: &str| {
            announced.iter().any(|one| one.platform == platform && one.schema_hash.as_deref() == Some(hash))
        };
        self.compiled.retain(|(platform, hash), _| used(platform, hash));
    }
}

/// Compiles the stored schemas that are new to this engine.
async fn compile(parts: &Parts, memory: &mut Memory, announced: &[announcement::Announcement]) -> Result<(), DbErr> {
    for one in announced.iter().filter(|one| one.has_schema) {
        let Some(hash) = &one.schema_hash else { continue };
        let key = (one.platform.clone(), hash.clone());
        if memory.compiled.contains_key(&key) {
            continue;
        }
        if let Some(stored) = announcement::schema(&parts.database.reader, &key.0, &key.1).await? {
            memory.compiled.insert(key, Schema::compile(stored).ok().map(Arc::new));
        }
    }
    Ok(())
}

fn view(memory: &Memory, rows: &[controller::Model], announced: &[announcement::Announcement]) -> View {
    let mut view = View::new();
    for one in announced {
        let known = view.entry(one.platform.clone()).or_default();
        let attributes = one.attributes.as_object().into_iter().flatten();
        attributes.for_each(|(name, value)| add(&mut known.attributes, name, value));
        let hash = one.schema_hash.as_ref();
        let schema = hash.and_then(|hash| memory.compiled.get(&(one.platform.clone(), hash.clone()))?.clone());
        if let (Some(hash), Some(schema)) = (hash, schema) {
            known.schemas.entry(hash.clone()).or_insert((schema, 0)).1 += 1;
        }
    }
    for row in rows.iter().filter(|row| row.admitted && !row.revoked) {
        let one = announced.iter().find(|one| one.controller_id == row.controller_id);
        let hash = one.and_then(|one| one.schema_hash.as_ref());
        if let Some(known) = view.get_mut(&row.platform) {
            known.unknown |= row.ready() && !hash.is_some_and(|hash| known.schemas.contains_key(hash));
        }
    }
    for (platform, known) in &mut view {
        known.keeps = least(announced.iter().filter(|one| one.platform == *platform));
    }
    view
}

fn add(attributes: &mut BTreeMap<String, Vec<Value>>, name: &str, value: &Value) {
    let values = attributes.entry(name.to_owned()).or_default();
    if !values.contains(value) {
        values.push(value.clone());
    }
}

/// What a session keeps on any of these controllers; `None` if one did not say.
fn least<'a>(announced: impl Iterator<Item = &'a announcement::Announcement>) -> Option<Keeps> {
    let each = announced.map(|one| serde_json::from_value::<Keeps>(one.keeps.clone()?.into()).ok());
    each.min().flatten()
}

fn publish(platforms: &Platforms, view: HashMap<String, OfPlatform>) {
    *platforms.0.view.write().unwrap_or_else(PoisonError::into_inner) = view;
}
