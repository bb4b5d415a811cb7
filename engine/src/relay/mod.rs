//! What happens between a commit and the courier: committed commands are published, and marked once JetStream has them.
//!
//! The relay is woken by commits and by a slow poll. A row stays `pending` until its PubAck, so that a crash anywhere here
//! only publishes again, under the same message id. `claim` says which commands go, and in which order.

mod claim;

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use sea_orm::FromQueryResult;
use serde_json::Value;
use streams::cloudevents;
use streams::crash::{Moment, point};
use streams::publisher::{Outgoing, Publisher};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use claim::Windows;

use crate::courier::Epoch;
use crate::parts::Parts;
use crate::writer::{Mark, Work};

/// Commands of one controller that are claimed and published together at most.
const BATCH: i64 = 512;
/// The slow poll behind the wake-ups.
const POLL: Duration = Duration::from_secs(5);
/// The pause after a round in which something could not be published.
const PAUSE: Duration = Duration::from_millis(500);

/// A pending command.
#[derive(Debug, FromQueryResult)]
struct Pending {
    id: i64,
    turn: i64,
    event_id: Uuid,
    entity: String,
    subject: String,
    payload: Value,
    attempt: i32,
    lane: Option<String>,
    traceparent: Option<String>,
}

/// The outbox's publisher.
pub(crate) struct Relay {
    pub(crate) parts: Parts,
    pub(crate) publisher: Publisher,
    pub(crate) epoch: Epoch,
}

impl Relay {
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut windows = Windows::default();
        loop {
            tokio::select! {
                () = self.parts.wakes.outbox.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = cancel.cancelled() => return,
            }
            while !cancel.is_cancelled() {
                match self.round(&mut windows).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(Failed) => tokio::time::sleep(PAUSE).await,
                }
            }
        }
    }

    /// Publishes one batch; answers how many commands it had.
    async fn round(&self, windows: &mut Windows) -> Result<usize, Failed> {
        if !self.parts.link.state.borrow().connected {
            return Err(Failed);
        }
        let rows = claim::claim(&self.parts, windows).await.map_err(|error| {
            tracing::warn!(%error, "the outbox cannot be read");
            Failed
        })?;
        let count = rows.len();
        if count == 0 {
            return self.publish_copies().await;
        }
        let (core, durable): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.lane.as_deref() == Some("core"));
        point("relay.publish", Moment::Before);
        let mut marks = self.publish_durable(durable).await;
        marks.extend(self.publish_core(core).await);
        point("relay.publish", Moment::After);
        let complete = marks.len() == count;
        point("relay.mark", Moment::Before);
        if !marks.is_empty() {
            let marking = self.parts.writer.enqueue(Work::Published(marks), None);
            observed(marking, "relay.mark").await.map_err(|_| Failed)?;
        }
        point("relay.mark", Moment::After);
        if complete { Ok(count) } else { Err(Failed) }
    }

    async fn publish_durable(&self, mut rows: Vec<Pending>) -> Vec<Mark> {
        if rows.is_empty() {
            return Vec::new();
        }
        let epoch = self.epoch.get();
        let outgoing = rows.iter_mut().map(outgoing).collect();
        let acks = observed(self.publisher.publish_all(outgoing), "relay.publish").await;
        let mut marks = Vec::with_capacity(rows.len());
        let mut failed = None;
        for (row, ack) in rows.iter().zip(acks) {
            match ack {
                Ok(ack) => {
                    self.parts.metrics.published(&row.subject);
                    let seq = i64::try_from(ack.sequence).ok();
                    marks.push(Mark { event_id: row.event_id, attempt: row.attempt, epoch: Some(epoch), seq });
                }
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            let count = rows.len() - marks.len();
            tracing::warn!(%error, commands = count, "not published yet; they stay in the outbox");
        }
        marks
    }

    /// The core lane has no acknowledgement: what was flushed to the server counts as published.
    async fn publish_core(&self, mut rows: Vec<Pending>) -> Vec<Mark> {
        let mut marks = Vec::new();
        for row in &mut rows {
            let payload = payload(row);
            let headers = cloudevents::headers(&row.subject, &message_id(row), Some(&row.entity));
            let client = &self.parts.link.client;
            if client.publish_with_headers(row.subject.clone(), headers, payload).await.is_ok() {
                self.parts.metrics.published(&row.subject);
                marks.push(Mark { event_id: row.event_id, attempt: row.attempt, epoch: None, seq: None });
            }
        }
        match self.parts.link.client.flush().await {
            Ok(()) => marks,
            Err(_) => Vec::new(),
        }
    }

    /// The public copies of dead letters that were decided here.
    async fn publish_copies(&self) -> Result<usize, Failed> {
        let copies =
            crate::dead_letters::uncopied(&self.parts.database.reader, BATCH as u64).await.map_err(|_| Failed)?;
        if copies.is_empty() {
            return Ok(0);
        }
        let (ids, outgoing): (Vec<Uuid>, Vec<Outgoing>) = copies.into_iter().unzip();
        let acks = self.publisher.publish_all(outgoing).instrument(tracing::info_span!("publish dead letters")).await;
        let done: Vec<Uuid> = ids.into_iter().zip(acks).filter_map(|(id, ack)| ack.is_ok().then_some(id)).collect();
        if done.is_empty() {
            return Err(Failed);
        }
        let count = done.len();
        self.parts.writer.enqueue(Work::Copied(done), None).await.map_err(|_| Failed)?;
        Ok(count)
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
#[derive(Debug)]
struct Failed;

/// What is sent; the row keeps nothing of it.
fn payload(row: &mut Pending) -> Bytes {
    let mut payload = row.payload.take();
    payload["attempt"] = row.attempt.into();
    serde_json::to_vec(&payload).unwrap_or_default().into() // a `Value` is always JSON
}

/// Which sending this is: the same text is sent again after a crash, another attempt is another one.
fn message_id(row: &Pending) -> String {
    format!("{}:{}", row.event_id, row.attempt)
}

/// A message whose span continues the trace of whoever asked.
fn outgoing(row: &mut Pending) -> Outgoing {
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
