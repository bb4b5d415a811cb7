//! What happens when a controller speaks or falls silent: its row, its consumer, and the question for its world.
//!
//! One future receives and never waits ([`Intake`]); another writes what waits, in batches; a third parks what cannot be read. So
//! nobody's heartbeat waits for more than the batch before it, whatever else is on the bus.

mod intake;
mod unreadable;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::SubscribeError;
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use machine::controller::{Event, is_silent};
use sea_orm::{DbErr, EntityTrait};
use streams::cloudevents;
use streams::ids::{ControllerId, Platform};
use streams::limits;
use streams::parking::Parker;
use streams::subject;
use streams::tasks::Task;
use streams::topology;
use streams::wire::{Heartbeat, HeartbeatAnswer, Sync};
use tokio::sync::Notify;
use uuid::Uuid;

use self::intake::{Intake, Received, Waiting};
use self::unreadable::Unreadable;
use crate::metrics::Beat;
use crate::parts::Parts;
use crate::store::controller;
use crate::writer::{Beat as Heard, ControllerEvent, Error};

/// How often silences are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How long a controller's run may take to tell its world before it is asked (again).
const ASK_AFTER: Duration = Duration::from_secs(10);
/// Consumers that are declared at a time when the streams are new.
const AT_ONCE: usize = 16;
/// Bytes of a heartbeat that are read at most; the largest ever seen has 4 kB.
pub(crate) const LARGEST: usize = 64 << 10;

/// Listens to controllers.
#[derive(Clone)]
pub(crate) struct Heartbeats {
    pub(crate) parts: Parts,
    pub(crate) parker: Parker,
    pub(crate) renewed: Arc<Notify>,
}

/// A run of a controller, as far as it has been welcomed.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Its row: a controller that was removed and is heard again has a new one, and lost its consumer.
    row: Uuid,
    instance_id: Option<Uuid>,
    /// Its consumer is there.
    declared: bool,
    /// When it was declared, or asked for its world last.
    asked: Instant,
}

/// What is remembered of each controller of the durable lane.
#[derive(Default)]
struct Memory {
    /// Runs that spoke; no more than there are rows.
    runs: HashMap<String, Run>,
    /// Consumers that are being declared, so that a slow server holds up no heartbeat.
    declaring: FuturesUnordered<BoxFuture<'static, Declared>>,
    /// The connection that is listened on, and since when, by the database's clock.
    listening: Option<(u64, i64)>,
}

/// What came of declaring the consumer of a run.
struct Declared {
    controller_id: String,
    instance_id: Option<Uuid>,
    done: bool,
}

impl Heartbeats {
    pub(crate) async fn run(self, task: Task) {
        let (intake, unreadable) = (Intake::default(), Unreadable::default());
        let all = async {
            tokio::join!(
                self.receive(&intake, &unreadable),
                self.write(&intake, &unreadable, &task),
                unreadable.park(&self.parker)
            );
        };
        task.cancel().run_until_cancelled(all).await;
    }

    /// Takes in what comes, for ever.
    async fn receive(&self, intake: &Intake, unreadable: &Unreadable) {
        loop {
            if let Ok(mut beats) = self.listen().await {
                while let Some(message) = beats.next().await {
                    let outcome = Self::beat(message, intake, unreadable);
                    self.parts.metrics.beat(outcome);
                    tokio::task::coop::consume_budget().await; // a flood leaves the others their turn
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Both subjects of heartbeats. A controller that finds nobody on its own falls back to the shared one, so its own is listened
    /// to first.
    async fn listen(&self) -> Result<impl futures::Stream<Item = async_nats::Message> + Unpin, SubscribeError> {
        let client = &self.parts.link.client;
        let own = client.queue_subscribe(subject::OWN_HEARTBEATS, "engine".into()).await?;
        let shared = client.queue_subscribe(subject::HEARTBEAT, "engine".into()).await?;
        Ok(futures::stream::select(own, shared))
    }

    fn beat(message: async_nats::Message, intake: &Intake, unreadable: &Unreadable) -> Beat {
        match read(&message.subject, &message.payload) {
            Ok((beat, own_subject)) => match intake.receive(beat, own_subject, message.payload, message.reply) {
                Received::Waits => Beat::Received,
                Received::Replaced => Beat::Replaced,
                Received::Dropped => Beat::Dropped,
            },
            Err((reason, why)) => match unreadable.receive(&message.subject, message.payload, reason, why) {
                true => Beat::Unreadable,
                false => Beat::Dropped,
            },
        }
    }

    /// Writes what waits, and looks for silences, for ever.
    async fn write(&self, intake: &Intake, unreadable: &Unreadable, task: &Task) {
        let mut memory = Memory::default();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => if let Err(error) = task.round(self.look_for_silence(intake, &mut memory)).await {
                    tracing::warn!(%error, "controllers cannot be read");
                },
                () = intake.arrived() => task.work(self.round(intake, unreadable, &mut memory)).await,
                Some(declared) = memory.declaring.next() => memory.declared(&declared),
                () = self.renewed.notified() => {
                    memory.runs.clear();
                    self.declare_all(&mut memory).await;
                }
            }
        }
    }

    /// Writes the beats that wait in one transaction, and answers each.
    async fn round(&self, intake: &Intake, unreadable: &Unreadable, memory: &mut Memory) {
        let waiting = intake.take();
        let listening_since_ms = memory.listening.map(|(_, since_ms)| since_ms);
        let written = waiting.iter().map(|one| {
            let (heartbeat, own_subject) = (Heartbeat::clone(&one.beat), one.own_subject);
            let heard = Heard { heartbeat, own_subject, listening_since_ms };
            self.parts.writer.enqueue(heard, None)
        });
        let written = join_all(written).await;
        for (one, taken) in waiting.iter().zip(written) {
            self.answer(one, taken.as_ref()).await;
            match taken {
                Ok(row) => {
                    intake.register(&row);
                    if row.admitted {
                        self.parts.platforms.said().heard(&row, &one.beat);
                    }
                    if row.protocol >= 2 && row.admitted {
                        self.welcome(&row, memory).await;
                    }
                }
                Err(error @ Error::Conflict(_)) => {
                    self.parts.metrics.beat(Beat::Refused);
                    tracing::warn!(%error, controller.id = %one.beat.controller_id, "a heartbeat was refused");
                }
                Err(error @ Error::Unstorable(_)) => {
                    unreadable.receive(subject::HEARTBEAT, one.payload.clone(), "unstorable", error.to_string());
                }
                Err(error) => tracing::warn!(%error, "a heartbeat was not taken"),
            }
        }
    }

    /// Tells who asks whether its heartbeat was taken, so that a host whose id is another's does not work. While the database is
    /// away nobody knows, and nothing is answered.
    async fn answer(&self, waiting: &Waiting, taken: Result<&controller::Model, &Error>) {
        let refusal = match taken {
            Ok(row) if !row.admitted => Some(format!("controller {} {}", row.controller_id, row.waits_for_admission())),
            Ok(_) => None,
            Err(Error::Conflict(reason)) => Some(reason.clone()),
            Err(error @ Error::Unstorable(_)) => Some(error.to_string()),
            Err(_) => return,
        };
        let answer = HeartbeatAnswer { accepted: refusal.is_none(), reason: refusal, own_subjects: true };
        let Ok(payload) = serde_json::to_vec(&answer) else { return };
        let payload = bytes::Bytes::from(payload);
        for reply in &waiting.replies {
            let sent = streams::reply::send(&self.parts.link.client, reply.clone(), None, payload.clone());
            if let Err(error) = sent.await {
                tracing::warn!(%error, "a heartbeat could not be answered");
            }
        }
    }

    /// A new run gets its consumer at once, and is asked for its world where it does not tell it by itself.
    async fn welcome(&self, row: &controller::Model, memory: &mut Memory) {
        let now = Instant::now();
        match memory.runs.get_mut(&row.controller_id) {
            Some(run) if run.instance_id == row.instance_id && run.row == row.id => {
                if run.declared && row.synced_instance != row.instance_id && run.asked.elapsed() > ASK_AFTER {
                    run.asked = now;
                    self.ask_for_world(row).await;
                }
            }
            _ => {
                let run = Run { row: row.id, instance_id: row.instance_id, declared: false, asked: now };
                memory.runs.insert(row.controller_id.clone(), run);
                memory.declaring.push(declare(self.parts.clone(), row.clone()));
            }
        }
    }

    /// The streams are new: every controller needs its consumer again, and tells its world again.
    async fn declare_all(&self, memory: &mut Memory) {
        let Ok(rows) = controller::Entity::find().all(&self.parts.database.reader).await else { return };
        let declared = rows.iter().filter(|row| row.protocol >= 2 && row.admitted).map(|row| async move {
            if declare(self.parts.clone(), row.clone()).await.done {
                self.ask_for_world(row).await;
            }
        });
        futures::stream::iter(declared).for_each_concurrent(AT_ONCE, |one| one).await;
        memory.declaring.clear(); // of the streams that were
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

    /// Silence counts only for as long as this engine was itself connected.
    async fn look_for_silence(&self, intake: &Intake, memory: &mut Memory) -> Result<(), DbErr> {
        let link = *self.parts.link.state.borrow();
        if !link.connected {
            memory.listening = None;
            return Ok(());
        }
        let now_ms = self.parts.clock.now_ms(&self.parts.database.reader).await?;
        let known = memory.listening.filter(|(connects, _)| *connects == link.connects);
        let (_, since_ms) = *memory.listening.insert(known.unwrap_or((link.connects, now_ms)));
        let rows = controller::Entity::find().all(&self.parts.database.reader).await?;
        intake.registered(rows.iter());
        let known = rows.iter().map(|row| row.controller_id.as_str()).collect();
        intake::forget(&mut memory.runs, &known);
        self.parts.metrics.keep_controllers(&known);
        let events = rows.into_iter().filter_map(|row| {
            let silent = is_silent(now_ms, row.last_heartbeat_ms, since_ms, i64::from(row.interval_seconds))
                && !intake.is_waiting(&row.controller_id);
            let event = match (silent, row.status.as_deref(), row.breaker_until_ms) {
                (true, Some("healthy" | "unknown"), _) => Event::Silent,
                (_, _, Some(until)) if until <= now_ms => Event::Tick,
                _ => return None,
            };
            let event = ControllerEvent { controller_id: row.controller_id, event };
            Some(self.parts.writer.enqueue(event, None))
        });
        join_all(events).await;
        Ok(())
    }
}

impl Memory {
    /// A run whose consumer could not be declared is new again with its next beat.
    fn declared(&mut self, declared: &Declared) {
        let of_this_run = |run: &&mut Run| run.instance_id == declared.instance_id;
        match self.runs.get_mut(&declared.controller_id).filter(of_this_run) {
            Some(run) if declared.done => run.declared = true,
            Some(_) => drop(self.runs.remove(&declared.controller_id)),
            None => {}
        }
    }
}

fn declare(parts: Parts, row: controller::Model) -> BoxFuture<'static, Declared> {
    Box::pin(async move {
        let mut declared =
            Declared { controller_id: row.controller_id.clone(), instance_id: row.instance_id, done: false };
        let Some((platform, id)) = names(&row) else { return declared };
        match topology::declare_controller_consumer(&parts.link.jetstream, &platform, &id).await {
            Ok(_) => declared.done = true,
            Err(error) => tracing::warn!(controller.id = %id, %error, "a controller's consumer cannot be declared"),
        }
        declared
    })
}

pub(crate) fn names(row: &controller::Model) -> Option<(Platform, ControllerId)> {
    Some((Platform::try_new(row.platform.clone()).ok()?, ControllerId::try_new(row.controller_id.clone()).ok()?))
}

/// A heartbeat that can be stored, and whether it came on its sender's own subject; else a word for machines, and why.
fn read(subject: &str, payload: &[u8]) -> Result<(Box<Heartbeat>, bool), (&'static str, String)> {
    if payload.len() > LARGEST {
        return Err(("too_large", format!("a heartbeat has {} bytes, and may have {LARGEST}", payload.len())));
    }
    let (_, beat) = limits::read::<Heartbeat>(payload).map_err(|error| ("undecodable", error.to_string()))?;
    let own_subject = check(&beat).and_then(|()| sender(subject, &beat)).map_err(|reason| ("illegal", reason))?;
    Ok((Box::new(beat), own_subject))
}

/// Whether a heartbeat came on a subject of its sender's own, which then has to name that sender.
fn sender(subject: &str, beat: &Heartbeat) -> Result<bool, String> {
    match subject::parse_heartbeat(subject) {
        Some(None) => Ok(false),
        Some(Some((platform, id))) if platform.as_str() == beat.platform && id.as_str() == beat.controller_id => {
            Ok(true)
        }
        _ => Err(format!(
            "its subject is {subject}, and it says platform {:?} and controller_id {:?}",
            beat.platform, beat.controller_id
        )),
    }
}

/// What a heartbeat must be before it is stored.
fn check(beat: &Heartbeat) -> Result<(), String> {
    Platform::try_new(beat.platform.clone()).map_err(|error| error.to_string())?;
    if beat.protocol.is_some_and(|protocol| protocol >= 2) {
        ControllerId::try_new(beat.controller_id.clone()).map_err(|error| error.to_string())?;
    }
    Ok(())
}
