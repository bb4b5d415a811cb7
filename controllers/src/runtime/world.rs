//! Telling all that exists: at the start, and whenever the engine asks.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use futures::StreamExt;
use streams::{
    subject::Report,
    tasks::Task,
    wire::{Span, Sync, World, WorldItem},
};
use uuid::Uuid;

use super::{Controller, loops::Subscription, report::Stopped};
use crate::driver::Observed;

/// Sessions in one part: well below what one message may hold.
const PART: usize = 200;
const PAUSE: Duration = Duration::from_secs(1);

impl Controller {
    /// Tells the whole world, the last part marked.
    pub(super) async fn tell_world(&self, sync_id: Uuid) -> Result<(), Stopped> {
        let _alone = self.reporter.order.write().await;
        let mut observed = self.everything().await?;
        observed.sort_unstable_by_key(|one| one.session_id);
        for one in &observed {
            self.seen.note(one.session_id, one.generation, false);
        }
        let items = observed.iter().map(|one| self.reporter.status(one, None)).collect::<Vec<_>>();
        let mut parts = items.chunks(PART).map(<[WorldItem]>::to_vec).collect::<Vec<_>>();
        if parts.is_empty() {
            parts.push(Vec::new()); // an empty world is told too
        }
        let last = parts.len() - 1;
        let spans = spans(&parts);
        for (part, (sessions, span)) in parts.into_iter().zip(spans).enumerate() {
            let world = self.part(sync_id, part as u32, part == last, span, sessions);
            let about = format!("controller:{}", world.controller_id);
            self.reporter.send(Report::ControllerWorld, world.event_id, about, &world).await?;
        }
        tracing::info!(sessions = observed.len(), sync.id = %sync_id, "told its world");
        Ok(())
    }

    fn part(&self, sync_id: Uuid, part: u32, last: bool, span: Span, sessions: Vec<WorldItem>) -> World {
        World {
            event_id: Uuid::now_v7(),
            timestamp: Utc::now(),
            controller_id: self.config.controller_id.to_string(),
            platform: self.config.platform.to_string(),
            sync_id,
            instance_id: self.reporter.instance_id,
            world_id: Some(self.driver.world_id()),
            part,
            last,
            span: Some(span),
            sessions,
        }
    }

    /// What the driver lists, and what is being made right now: it may exist before the engine has read this.
    async fn everything(&self) -> Result<Vec<Observed>, Stopped> {
        let mut observed = loop {
            match self.driver.list().await {
                Ok(observed) => break observed,
                Err(failure) => {
                    tracing::warn!(error = %failure.message, "the driver cannot list its world; asked again")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.reporter.abandon.cancelled() => return Err(Stopped),
            }
        };
        let making = self.making();
        let listed = observed.iter().map(|one| one.session_id).collect::<std::collections::HashSet<_>>();
        observed.extend(making.into_iter().filter(|one| !listed.contains(&one.session_id)));
        Ok(observed)
    }

    /// Answers each request for the inventory until it is cancelled; first the one that a run which panicked still owes.
    pub(super) async fn answer_syncs(&self, requests: &Subscription, task: &Task) {
        let mut requests = requests.lock().await;
        loop {
            let owed = *self.owed();
            let sync_id = match owed {
                Some(sync_id) => sync_id,
                None => match task.cancel().run_until_cancelled(requests.next()).await {
                    Some(Some(request)) => {
                        let asked = serde_json::from_slice::<Sync>(&request.payload);
                        *self.owed().insert(asked.map_or_else(|_| Uuid::now_v7(), |sync| sync.event_id))
                    }
                    // the connection is closed for good, or the controller is stopping
                    Some(None) => return task.cancel().cancelled().await,
                    None => return,
                },
            };
            if task.round(self.tell_world(sync_id)).await.is_err() {
                return task.cancel().cancelled().await; // it is stopping
            }
            *self.owed() = None;
        }
    }

    /// The request for the inventory that is not answered yet.
    fn owed(&self) -> MutexGuard<'_, Option<Uuid>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ranges of parts that are in order: together they hold every id there can be.
fn spans(parts: &[Vec<WorldItem>]) -> Vec<Span> {
    let first = |part: &Vec<WorldItem>| part.first().map(|item| item.session_id);
    let until = parts.iter().skip(1).map(first).chain([None]);
    let mut from = Uuid::nil();
    until.map(|until| Span { from: std::mem::replace(&mut from, until.unwrap_or_default()), until }).collect()
}
