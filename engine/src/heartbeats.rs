//! What happens when a controller speaks or falls silent: its row, its consumer, and the question for its world.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use machine::controller::{Event, is_silent};
use sea_orm::{DbErr, EntityTrait};
use streams::cloudevents;
use streams::ids::{ControllerId, Platform};
use streams::parking::{Letter, Parker};
use streams::subject;
use streams::tasks::Task;
use streams::topology;
use streams::wire::{Heartbeat, HeartbeatAnswer, Sync};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::parts::Parts;
use crate::store::controller;
use crate::writer::{Done, Error, Work};

/// How often silences are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How long a controller's run may take to tell its world before it is asked (again).
const ASK_AFTER: Duration = Duration::from_secs(10);

/// Listens to controllers.
#[derive(Clone)]
pub(crate) struct Heartbeats {
    pub(crate) parts: Parts,
    pub(crate) parker: Parker,
    pub(crate) renewed: Arc<Notify>,
}

/// What is remembered of each controller of the durable lane.
#[derive(Default)]
struct Memory {
    /// Runs whose consumer was declared, and when the world was asked for last.
    runs: HashMap<String, (Option<Uuid>, Instant)>,
    /// The connection that is listened on, and since when, by the database's clock.
    listening: Option<(u64, i64)>,
}

impl Heartbeats {
    pub(crate) async fn run(self, task: Task) {
        let cancel = task.cancel();
        let mut memory = Memory::default();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !cancel.is_cancelled() {
            let Ok(mut beats) = self.parts.link.client.queue_subscribe(subject::HEARTBEAT, "engine".into()).await
            else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            loop {
                tokio::select! {
                    beat = beats.next() => match beat {
                        Some(beat) => task.work(self.beat(&beat, &mut memory)).await,
                        None => break,
                    },
                    _ = look.tick() => if let Err(error) = task.round(self.look_for_silence(&mut memory)).await {
                        tracing::warn!(%error, "controllers cannot be read");
                    },
                    () = self.renewed.notified() => {
                        memory.runs.clear();
                        self.declare_all().await;
                    }
                    () = cancel.cancelled() => return,
                }
            }
        }
    }

    async fn beat(&self, message: &async_nats::Message, memory: &mut Memory) {
        let beat: Heartbeat = match serde_json::from_slice(&message.payload) {
            Ok(beat) => beat,
            Err(error) => return self.park(message, "undecodable", error.to_string()).await,
        };
        if let Err(reason) = check(&beat) {
            return self.park(message, "illegal", reason).await;
        }
        let taken = self.parts.writer.enqueue(Work::Heartbeat(Box::new(beat)), None).await;
        self.answer(message, taken.as_ref()).await;
        match taken {
            Ok(Done::Controller(row)) if row.protocol >= 2 => self.welcome(&row, memory).await,
            Ok(_) => {}
            Err(error @ Error::Unstorable(_)) => self.park(message, "unstorable", error.to_string()).await,
            Err(error) => tracing::warn!(%error, "a heartbeat was not taken"),
        }
    }

    /// Tells who asks whether its heartbeat was taken, so that a host whose id is another's does not work. While the database is
    /// away nobody knows, and nothing is answered.
    async fn answer(&self, message: &async_nats::Message, taken: Result<&Done, &Error>) {
        let Some(reply) = message.reply.clone() else { return };
        let answer = match taken {
            Ok(_) => HeartbeatAnswer { accepted: true, reason: None },
            Err(Error::Conflict(reason)) => HeartbeatAnswer { accepted: false, reason: Some(reason.clone()) },
            Err(error @ Error::Unstorable(_)) => HeartbeatAnswer { accepted: false, reason: Some(error.to_string()) },
            Err(_) => return,
        };
        let Ok(payload) = serde_json::to_vec(&answer) else { return };
        if let Err(error) = streams::reply::send(&self.parts.link.client, reply, None, payload.into()).await {
            tracing::warn!(%error, "a heartbeat could not be answered");
        }
    }

    /// A new run gets its consumer at once, and is asked for its world where it does not tell it by itself.
    async fn welcome(&self, row: &controller::Model, memory: &mut Memory) {
        let known = memory.runs.get(&row.controller_id).copied();
        if known.is_none_or(|(run, _)| run != row.instance_id) {
            if self.declare(row).await {
                memory.runs.insert(row.controller_id.clone(), (row.instance_id, Instant::now()));
            }
            return;
        }
        let asked = known.map_or_else(Instant::now, |(_, asked)| asked);
        if row.synced_instance != row.instance_id && asked.elapsed() > ASK_AFTER {
            memory.runs.insert(row.controller_id.clone(), (row.instance_id, Instant::now()));
            self.ask_for_world(row).await;
        }
    }

    async fn declare(&self, row: &controller::Model) -> bool {
        let Some((platform, id)) = names(row) else { return false };
        match topology::declare_controller_consumer(&self.parts.link.jetstream, &platform, &id).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(controller.id = %id, %error, "a controller's consumer cannot be declared");
                false
            }
        }
    }

    /// The streams are new: every controller needs its consumer again, and tells its world again.
    async fn declare_all(&self) {
        let Ok(rows) = controller::Entity::find().all(&self.parts.database.reader).await else { return };
        for row in rows.iter().filter(|row| row.protocol >= 2) {
            if self.declare(row).await {
                self.ask_for_world(row).await;
            }
        }
    }

    async fn ask_for_world(&self, row: &controller::Model) {
        let Some((platform, id)) = names(row) else { return };
        let sync = Sync { event_id: Uuid::now_v7(), timestamp: chrono::Utc::now() };
        let Ok(payload) = serde_json::to_vec(&sync) else { return };
        let subject = subject::sync(&platform, &id);
        let headers = cloudevents::headers(&subject, &sync.event_id.to_string(), Some(&format!("controller:{id}")));
        let client = &self.parts.link.client;
        if let Err(error) = client.publish_with_headers(subject, headers, payload.into()).await {
            tracing::warn!(controller.id = %id, %error, "a controller cannot be asked for its world");
        }
    }

    async fn park(&self, message: &async_nats::Message, reason: &str, why: String) {
        let letter = Letter {
            subject: message.subject.to_string(),
            payload: message.payload.clone(),
            message_id: format!("dlq:core:{}", Uuid::now_v7()),
            reason: reason.to_owned(),
            error: why,
            ..Letter::default()
        };
        if let Err(error) = self.parker.park_letter(letter).await {
            tracing::warn!(%error, "a heartbeat that cannot be read could not be parked");
        }
    }

    /// Silence counts only for as long as this engine was itself connected.
    async fn look_for_silence(&self, memory: &mut Memory) -> Result<(), DbErr> {
        let link = *self.parts.link.state.borrow();
        if !link.connected {
            memory.listening = None;
            return Ok(());
        }
        let now_ms = self.parts.clock.now_ms(&self.parts.database.reader).await?;
        let known = memory.listening.filter(|(connects, _)| *connects == link.connects);
        let (_, since_ms) = *memory.listening.insert(known.unwrap_or((link.connects, now_ms)));
        for row in controller::Entity::find().all(&self.parts.database.reader).await? {
            let silent = is_silent(now_ms, row.last_heartbeat_ms, since_ms, i64::from(row.interval_seconds));
            let event = match (silent, row.status.as_deref(), row.breaker_until_ms) {
                (true, Some("healthy" | "unknown"), _) => Event::Silent,
                (_, _, Some(until)) if until <= now_ms => Event::Tick,
                _ => continue,
            };
            let _ = self.parts.writer.enqueue(Work::Controller(row.controller_id, event), None).await;
        }
        Ok(())
    }
}

pub(crate) fn names(row: &controller::Model) -> Option<(Platform, ControllerId)> {
    Some((Platform::try_new(row.platform.clone()).ok()?, ControllerId::try_new(row.controller_id.clone()).ok()?))
}

/// What a heartbeat must be before it is stored.
fn check(beat: &Heartbeat) -> Result<(), String> {
    Platform::try_new(beat.platform.clone()).map_err(|error| error.to_string())?;
    if beat.protocol.is_some_and(|protocol| protocol >= 2) {
        ControllerId::try_new(beat.controller_id.clone()).map_err(|error| error.to_string())?;
    }
    let plain = |text: &str| (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    if !plain(&beat.controller_id) {
        return Err("controller_id must be 1 to 255 printable characters".into());
    }
    if serde_json::to_value(beat).is_ok_and(|value| crate::projector::has_nul(&value)) {
        return Err("a string holds a NUL character".into());
    }
    Ok(())
}
