//! What happens between a commit and the courier: committed commands are published, and marked once JetStream has them.
//!
//! A row stays `pending` until its PubAck, so that a crash anywhere here only publishes again, under the same message id. While a
//! controller keeps up, its commands are handed over in memory (`flight`); all others are read from the outbox, which is looked at after
//! commits and by a slow poll: `claim` says which of them go, and in which order, `patience` how long the relay waits where JetStream
//! does not take them. Public copies of dead letters go their own way beside: their stream may be full while commands flow.

mod claim;
mod flight;
mod patience;
mod unfit;

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_nats::client::PublishErrorKind;
use bytes::Bytes;
use sea_orm::FromQueryResult;
use serde::Deserialize;
use streams::cloudevents;
use streams::crash::{Moment, point};
use streams::publisher::{Outgoing, Publisher};
use streams::tasks::Task;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use claim::{Claimed, Windows};
use patience::Patience;

pub(crate) use flight::{Flight, HANDED_MS, Published};

use crate::courier::Epoch;
use crate::parts::Parts;
use crate::store::text::Text;
use crate::writer::{Mark, MarkCopied, MarkPublished};

/// Commands of one controller that are claimed and published together at most.
const BATCH: i64 = 512;
/// Public copies that are published together at most: a letter may have a megabyte.
const COPIES: u64 = 64;
/// The slow poll behind the wake-ups.
const POLL: Duration = Duration::from_secs(5);
/// The same while another engine, which may be gone, has claimed commands.
const HELD: Duration = Duration::from_secs(1);

/// A pending command.
#[derive(Debug, Clone, FromQueryResult)]
pub(crate) struct Pending {
    pub(crate) event_id: Uuid,
    pub(crate) entity: String,
    pub(crate) subject: String,
    pub(crate) payload: Text,
    pub(crate) attempt: i32,
    pub(crate) lane: Option<String>,
    pub(crate) traceparent: Option<String>,
}

/// The outbox's publisher.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) parts: Parts,
    pub(crate) publisher: Publisher,
    pub(crate) epoch: Epoch,
}

impl Relay {
    pub(crate) async fn run(self, task: Task) {
        self.parts.flight.resume();
        tokio::join!(
            self.send_handed(&task),
            self.send_commands(&task),
            self.send_copies(&task),
            self.write_down(task.cancel())
        );
    }

    /// Publishes commands that are handed over as they are committed. What JetStream does not take goes back to the outbox.
    async fn send_handed(&self, task: &Task) {
        let (flight, cancel) = (&self.parts.flight, task.cancel());
        while cancel.run_until_cancelled(flight.handed.notified()).await.is_some() {
            loop {
                let commands = flight.take(BATCH as usize);
                if commands.is_empty() {
                    break;
                }
                let sent = task.work(self.publish(commands)).await;
                self.end_unfit(sent.unfit).await;
                flight.sent(sent.marks);
                self.give_back(sent.left, sent.refused.as_deref()).await;
            }
        }
        flight.close();
        self.give_back(flight.take(usize::MAX).into_iter().map(|command| command.event_id).collect(), None).await;
    }

    /// From now on all commands go by the outbox, these first.
    async fn give_back(&self, events: Vec<Uuid>, why: Option<&str>) {
        if events.is_empty() {
            return;
        }
        tracing::debug!(commands = events.len(), why, "not published when they were committed");
        self.parts.flight.close();
        self.parts.flight.written(events.iter());
        claim::release(&self.parts, events).await;
        self.parts.wakes.outbox.notify_one();
    }

    /// Has it written that commands were published, where nothing else is written soon.
    async fn write_down(&self, cancel: &CancellationToken) {
        let flight = &self.parts.flight;
        while cancel.run_until_cancelled(flight.published.notified()).await.is_some() {
            self.write_down_later().await;
        }
        self.write_down_later().await; // so that nobody publishes it again
    }

    async fn write_down_later(&self) {
        tokio::time::sleep(flight::LATER).await;
        if !self.parts.flight.is_due() {
            return;
        }
        if let Err(error) = self.parts.writer.enqueue(MarkPublished(Vec::new()), None).await {
            tracing::debug!(%error, "what was published is written with the next change");
            self.parts.flight.published.notify_one();
        }
    }

    /// Publishes commands as they come.
    async fn send_commands(&self, task: &Task) {
        let cancel = task.cancel();
        let (mut windows, mut patience) = (Windows::default(), Patience::new("commands"));
        self.parts.wakes.outbox.notify_one(); // what was left by a process before this one
        loop {
            let poll = if windows.held_elsewhere() { HELD } else { POLL };
            tokio::select! {
                () = self.parts.wakes.outbox.notified() => {}
                () = tokio::time::sleep(poll) => {}
                () = cancel.cancelled() => return,
            }
            while self.is_connected(cancel).await {
                match task.round(self.round(&mut windows, patience.most())).await {
                    Ok(more) if patience.taken(more) => {}
                    Ok(_) => break,
                    Err(failed) => patience.wait(&failed, cancel).await,
                }
            }
        }
    }

    /// Publishes the public copies of dead letters that were decided here.
    async fn send_copies(&self, task: &Task) {
        let cancel = task.cancel();
        let mut patience = Patience::new("dead letters");
        loop {
            tokio::select! {
                () = self.parts.wakes.copies.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = cancel.cancelled() => return,
            }
            while self.is_connected(cancel).await {
                match task.round(self.publish_copies(patience.most())).await {
                    Ok(more) if patience.taken(more) => {}
                    Ok(_) => break,
                    Err(failed) => patience.wait(&failed, cancel).await,
                }
            }
        }
    }

    /// Waits for a connection; false where the engine ends before there is one.
    async fn is_connected(&self, cancel: &CancellationToken) -> bool {
        let mut link = self.parts.link.state.clone();
        let connected = cancel.run_until_cancelled(link.wait_for(|state| state.connected)).await;
        connected.is_some_and(|state| state.is_ok()) && !cancel.is_cancelled()
    }

    /// Publishes one batch, of each controller `most` commands; answers whether more may wait behind it.
    async fn round(&self, windows: &mut Windows, most: i64) -> Result<bool, Failed> {
        let claimed = claim::claim(&self.parts, windows, most).await;
        let Claimed { rows, more } =
            claimed.map_err(|error| Failed::nothing(format!("the outbox cannot be read: {error}")))?;
        if rows.is_empty() {
            return Ok(false);
        }
        let sent = self.publish(rows).await;
        self.end_unfit(sent.unfit).await;
        let some = !sent.marks.is_empty();
        if some {
            let marked = self.parts.writer.enqueue(MarkPublished(sent.marks), None).await;
            marked.map_err(|error| Failed::nothing(format!("what was published cannot be marked: {error}")))?;
        }
        let Some(why) = sent.refused else { return Ok(more) };
        self.parts.flight.close();
        claim::release(&self.parts, sent.left).await;
        Err(Failed { why, some })
    }

    async fn publish(&self, commands: Vec<Pending>) -> Sent {
        let (core, durable): (Vec<_>, Vec<_>) =
            commands.into_iter().partition(|command| command.lane.as_deref() == Some("core"));
        point("relay.publish", Moment::Before);
        let mut sent = self.publish_durable(durable).await;
        sent.add(self.publish_core(core).await);
        point("relay.publish", Moment::After);
        self.weed_out(&mut sent);
        sent
    }

    async fn publish_durable(&self, rows: Vec<Pending>) -> Sent {
        let mut sent = Sent::default();
        if rows.is_empty() {
            return sent;
        }
        let epoch = self.epoch.get();
        let outgoing = rows.iter().map(outgoing).collect();
        let acks = observed(self.publisher.publish_all(outgoing), "relay.publish").await;
        for (row, ack) in rows.iter().zip(acks) {
            match ack {
                Ok(ack) => {
                    self.parts.metrics.published(&row.subject);
                    let seq = i64::try_from(ack.sequence).ok();
                    sent.marks.push(Mark { event_id: row.event_id, attempt: row.attempt, epoch: Some(epoch), seq });
                }
                Err(error) if error.is_of_message() => sent.unfit.push((row.clone(), error.to_string())),
                Err(error) => {
                    if matches!(error, streams::publisher::Error::Other(_)) {
                        sent.unsure.push((row.clone(), error.to_string()));
                    }
                    sent.keep(row.event_id, error);
                }
            }
        }
        sent
    }

    /// The core lane has no acknowledgement: what was flushed to the server counts as published.
    async fn publish_core(&self, rows: Vec<Pending>) -> Sent {
        let mut sent = Sent::default();
        for row in &rows {
            let payload = payload(row);
            let headers = cloudevents::headers(&row.subject, &message_id(row), Some(&row.entity));
            let client = &self.parts.link.client;
            match client.publish_with_headers(row.subject.clone(), headers, payload).await {
                Ok(()) => {
                    self.parts.metrics.published(&row.subject);
                    sent.marks.push(Mark { event_id: row.event_id, attempt: row.attempt, epoch: None, seq: None });
                }
                Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    sent.unfit.push((row.clone(), error.to_string()));
                }
                Err(error) => sent.keep(row.event_id, error),
            }
        }
        if rows.is_empty() {
            return sent;
        }
        match self.parts.link.client.flush().await {
            Ok(()) => sent,
            Err(error) => {
                let left = rows.iter().map(|row| row.event_id).collect();
                Sent { left, refused: Some(error.to_string()), ..Sent::default() }
            }
        }
    }

    /// One batch of public copies, `most` of them; answers whether more may wait behind it.
    async fn publish_copies(&self, most: i64) -> Result<bool, Failed> {
        let most = most.unsigned_abs().min(COPIES);
        let read = crate::dead_letters::uncopied(&self.parts.database.reader, &self.parts.link, most).await;
        let (copies, more) =
            read.map_err(|error| Failed::nothing(format!("the dead letters cannot be read: {error}")))?;
        if copies.is_empty() {
            return Ok(false);
        }
        let (ids, outgoing): (Vec<Uuid>, Vec<Outgoing>) = copies.into_iter().unzip();
        let acks = self.publisher.publish_all(outgoing).instrument(tracing::info_span!("publish dead letters")).await;
        let (mut done, mut refused) = (Vec::with_capacity(ids.len()), None);
        for (id, ack) in ids.into_iter().zip(acks) {
            match ack {
                Ok(_) => done.push(id),
                Err(error) if error.is_of_message() => {
                    tracing::error!(dead_letter.id = %id, %error, "the dead-letter stream can never take this copy; the table has the letter");
                    done.push(id);
                }
                Err(error) => refused = Some(error.to_string()),
            }
        }
        let some = !done.is_empty();
        if some {
            let written = self.parts.writer.enqueue(MarkCopied(done), None).await;
            written.map_err(|error| Failed::nothing(format!("what was copied cannot be marked: {error}")))?;
        }
        refused.map_or(Ok(more), |why| Err(Failed { why, some }))
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
struct Sent {
    marks: Vec<Mark>,
    /// Commands that are still pending.
    left: Vec<Uuid>,
    /// Why.
    refused: Option<String>,
    /// Commands that can never be sent, and why.
    unfit: Vec<(Pending, String)>,
    /// Of those that are still pending, those that may never be sent.
    unsure: Vec<(Pending, String)>,
}

impl Sent {
    fn keep(&mut self, command: Uuid, why: impl ToString) {
        self.left.push(command);
        self.refused.get_or_insert_with(|| why.to_string());
    }

    fn add(&mut self, other: Self) {
        self.marks.extend(other.marks);
        self.left.extend(other.left);
        self.unfit.extend(other.unfit);
        self.unsure.extend(other.unsure);
        self.refused = self.refused.take().or(other.refused);
    }
}

/// Runs a step with its crash point `during` right after it has begun.
async fn observed<T>(step: impl Future<Output = T>, name: &'static str) -> T {
    let mut step = pin!(step);
    let begun = futures::poll!(step.as_mut());
    point(name, Moment::During);
    match begun {
        Poll::Ready(done) => done,
        Poll::Pending => step.await,
    }
}

/// Something was not published; it stays pending.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct Failed {
    why: String,
    /// Whether something else was.
    some: bool,
}

impl Failed {
    fn nothing(why: impl Into<String>) -> Self {
        Self { why: why.into(), some: false }
    }
}

/// What is sent: the payload as it was committed, but for the attempt, where that is a later one.
fn payload(row: &Pending) -> Bytes {
    #[derive(Deserialize)]
    struct Counted {
        attempt: i32,
    }
    let text = row.payload.as_str();
    if serde_json::from_str::<Counted>(text).is_ok_and(|counted| counted.attempt == row.attempt) {
        return Bytes::copy_from_slice(text.as_bytes());
    }
    let mut payload = row.payload.value();
    payload["attempt"] = row.attempt.into();
    payload.to_string().into()
}

/// Which sending this is: the same text is sent again after a crash, another attempt is another one.
fn message_id(row: &Pending) -> String {
    format!("{}:{}", row.event_id, row.attempt)
}

/// A message whose span continues the trace of whoever asked.
fn outgoing(row: &Pending) -> Outgoing {
    let span = tracing::info_span!("publish", otel.kind = "producer", messaging.destination = %row.subject,
        event.id = %row.event_id, attempt = row.attempt);
    if let Some(traceparent) = &row.traceparent {
        streams::trace::set_parent(&span, traceparent);
    }
    let traceparent = span.in_scope(streams::trace::current_traceparent).or_else(|| row.traceparent.clone());
    Outgoing {
        subject: row.subject.clone(),
        message_id: message_id(row),
        traceparent,
        headers: vec![(cloudevents::SUBJECT.to_owned(), row.entity.clone())],
        payload: payload(row),
    }
}
