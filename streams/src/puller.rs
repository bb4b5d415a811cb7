//! Pulls from a durable consumer, never more than is wanted, and survives reconnects, deleted consumers, lost
//! stores and a pin that moves to another replica.
//!
//! The client library's own streams request more than can be started, and end when the consumer is deleted.
//! Here a single inbox lives as long as the worker; each pull is numbered, and status messages about abandoned
//! pulls are ignored.

use std::time::Duration;

use async_nats::jetstream::consumer::PriorityPolicy;
use async_nats::{Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connect::{State, backoff};
use crate::source::Source;
use crate::topology::{GROUP, PullConsumer, StreamState};
use crate::worker::{Delivery, Pulled};

/// How long a pull waits at the server.
const LONG_POLL: Duration = Duration::from_secs(30);
const LONG_HEARTBEAT: Duration = Duration::from_secs(5);
/// A pinned client must pull again well within [`crate::topology::PINNED_TTL`], or it loses its pin.
const PINNED_POLL: Duration = Duration::from_secs(4);
const PINNED_HEARTBEAT: Duration = Duration::from_secs(2);
/// Heartbeats that may be missed before a pull counts as lost, with allowance for a busy machine.
const MISSED_HEARTBEATS: u32 = 3;
const GRACE: Duration = Duration::from_secs(2);

struct Bound {
    subject: String,
    expires: Duration,
    heartbeat: Duration,
    pinned: bool,
}

impl Bound {
    fn new(consumer: &PullConsumer) -> Self {
        let info = consumer.cached_info();
        let pinned = info.config.priority_policy == PriorityPolicy::PinnedClient;
        let (expires, heartbeat) = if pinned { (PINNED_POLL, PINNED_HEARTBEAT) } else { (LONG_POLL, LONG_HEARTBEAT) };
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", info.stream_name, info.name);
        Self { subject, expires, heartbeat, pinned }
    }
}

pub(crate) struct Puller {
    source: Source,
    link: watch::Receiver<State>,
    inbox: String,
    messages: Subscriber,
    bound: Option<Bound>,
    /// The stream of the bound consumer; unknown from the loss of the consumer until it is bound again.
    incarnation: Option<StreamState>,
    /// Messages requested and not received yet.
    outstanding: usize,
    next_pull: u64,
    /// Pulls with lower numbers were abandoned.
    valid_from: u64,
    pin: Option<String>,
    heard: Instant,
    connects: u64,
    failures: usize,
}

impl Puller {
    /// Opens the inbox for messages.
    pub(crate) async fn open(source: Source) -> Result<Self, async_nats::SubscribeError> {
        let inbox = source.link.client.new_inbox();
        let messages = source.link.client.subscribe(format!("{inbox}.*")).await?;
        let link = source.link.state.clone();
        let connects = link.borrow().connects;
        Ok(Self {
            source,
            link,
            inbox,
            messages,
            bound: None,
            incarnation: None,
            outstanding: 0,
            next_pull: 0,
            valid_from: 0,
            pin: None,
            heard: Instant::now(),
            connects,
            failures: 0,
        })
    }

    /// The next message; requests more, up to `want`, once at most `low` are outstanding. Cancel-safe: no
    /// message is lost. `None` only if the connection was closed.
    pub(crate) async fn next(&mut self, want: usize, low: usize) -> Option<Pulled> {
        self.link.mark_unchanged();
        loop {
            self.notice_reconnect();
            if let Some(wait) = self.ask(want, low).await {
                tokio::time::sleep(wait).await;
                continue;
            }
            let silence = self.bound.as_ref().map_or(LONG_POLL, |b| b.heartbeat * MISSED_HEARTBEATS + GRACE);
            tokio::select! {
                biased;
                message = self.messages.next() => {
                    if let Some(pulled) = self.accept(message?).await {
                        return Some(pulled);
                    }
                }
                _ = self.link.changed() => {}
                () = tokio::time::sleep_until(self.heard + silence), if self.outstanding > 0 => self.lose("no heartbeat"),
            }
        }
    }

    /// A message that has already arrived, without waiting.
    pub(crate) async fn ready(&mut self) -> Option<Pulled> {
        use futures::FutureExt as _;
        loop {
            let message = self.messages.next().now_or_never()??;
            if let Some(pulled) = self.accept(message).await {
                return Some(pulled);
            }
        }
    }

    /// Stops pulling and returns messages that were not started to the server.
    pub(crate) async fn close(mut self) {
        let hand_back = async {
            if self.messages.drain().await.is_err() {
                return;
            }
            while let Some(message) = self.messages.next().await {
                if let Some(pulled) = self.accept(message).await {
                    pulled.nak().await;
                }
            }
        };
        let _ = tokio::time::timeout(GRACE, hand_back).await; // without a connection, redelivery does the same later
    }

    fn notice_reconnect(&mut self) {
        let connects = self.link.borrow().connects;
        if connects != self.connects {
            self.connects = connects;
            self.lose("reconnected");
        }
    }

    /// Drops outstanding requests, and looks the consumer up again.
    fn lose(&mut self, why: &str) {
        tracing::debug!(consumer = %self.source.name, why, "restarting the pull");
        self.bound = None;
        self.incarnation = None;
        self.forget();
    }

    fn forget(&mut self) {
        self.outstanding = 0;
        self.valid_from = self.next_pull;
    }

    /// Requests the missing messages; returns how long to wait if that is not possible now.
    async fn ask(&mut self, want: usize, low: usize) -> Option<Duration> {
        if self.outstanding > low || self.outstanding >= want || !self.source.link.is_connected() {
            return None;
        }
        if self.bound.is_none()
            && let Err(why) = self.bind().await
        {
            return Some(self.pause(&why));
        }
        let bound = self.bound.as_ref()?;
        let batch = want - self.outstanding;
        let request = request(bound, batch, self.pin.as_deref());
        let inbox = format!("{}.{}", self.inbox, self.next_pull);
        match self.source.link.client.publish_with_reply(bound.subject.clone(), inbox, request).await {
            Ok(()) => {
                self.next_pull += 1;
                self.outstanding += batch;
                self.heard = Instant::now();
                None
            }
            Err(error) => Some(self.pause(&error.to_string())),
        }
    }

    /// The stream is read before its consumer: if it is recreated in between, the pull finds no consumer, or
    /// one that is detected as lost.
    async fn bind(&mut self) -> Result<(), String> {
        let incarnation = self.source.incarnation().await.map_err(|error| error.to_string())?;
        let consumer = self.source.bind().await.map_err(|error| error.to_string())?;
        self.bound = Some(Bound::new(&consumer.ok_or("the consumer does not exist yet")?));
        self.incarnation = incarnation;
        Ok(())
    }

    /// Sets the stream's epoch on a delivery. Returns false for a delivery from an unknown or an earlier
    /// stream, which is dropped: if it still exists, it is redelivered.
    fn stamp(&self, delivery: &mut Delivery) -> bool {
        if !self.source.is_stamped() {
            return true;
        }
        let stream = self.incarnation.as_ref().filter(|stream| stream.created_at <= delivery.published_at);
        delivery.stream_epoch = stream.map_or(0, |stream| stream.epoch);
        stream.is_some()
    }

    fn pause(&mut self, why: &str) -> Duration {
        if self.failures == 0 {
            tracing::info!(consumer = %self.source.name, why, "cannot pull; retrying");
        }
        self.failures += 1;
        backoff(self.failures)
    }

    async fn accept(&mut self, message: Message) -> Option<Pulled> {
        self.heard = Instant::now();
        if message.status.is_some_and(|status| status != StatusCode::OK) {
            self.handle_status(&message).await;
            return None;
        }
        let Some(mut pulled) = Pulled::read(&self.source.link, message) else {
            tracing::warn!(consumer = %self.source.name, "ignored a message that is not a consumer's delivery");
            return None;
        };
        if !self.stamp(&mut pulled.delivery) {
            pulled.nak().await;
            return None;
        }
        self.failures = 0;
        self.outstanding = self.outstanding.saturating_sub(1);
        if pulled.pin.is_some() {
            self.pin.clone_from(&pulled.pin);
        }
        self.source.metrics.received(&pulled.delivery.subject);
        if pulled.delivery.delivered > 1 {
            let Delivery { stream_sequence, subject, delivered, .. } = &pulled.delivery;
            self.source.metrics.redelivered(&self.source.name, *stream_sequence, subject, *delivered);
        }
        self.source.metrics.pending(&self.source.name, pulled.pending);
        Some(pulled)
    }

    /// Handles a status message about a pull.
    async fn handle_status(&mut self, message: &Message) {
        let pull = message.subject.rsplit('.').next().and_then(|number| number.parse::<u64>().ok());
        if pull.is_none_or(|number| number < self.valid_from) {
            return;
        }
        let why = message.description.as_deref().unwrap_or_default();
        match message.status {
            Some(StatusCode::IDLE_HEARTBEAT) => {}
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => self.settle(message),
            Some(StatusCode::PIN_ID_MISMATCH) => {
                tracing::info!(consumer = %self.source.name, "another replica is active now; standing by");
                self.pin = None;
                self.forget();
            }
            Some(StatusCode::REQUEST_TERMINATED) if why == "Batch Completed" => self.settle(message),
            _ => {
                self.lose(why);
                let wait = self.pause(why);
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// A pull has ended: messages that it did not deliver are no longer outstanding.
    fn settle(&mut self, message: &Message) {
        let left = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
        match left.and_then(|left| left.as_str().parse::<usize>().ok()) {
            Some(left) => self.outstanding = self.outstanding.saturating_sub(left),
            None => self.forget(),
        }
        self.failures = 0;
    }
}

fn request(bound: &Bound, batch: usize, pin: Option<&str>) -> Bytes {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut request = serde_json::json!({
        "batch": batch,
        "expires": nanos(bound.expires),
        "idle_heartbeat": nanos(bound.heartbeat),
    });
    if bound.pinned {
        request["group"] = GROUP.into();
        if let Some(pin) = pin {
            request["id"] = pin.into();
        }
    }
    Bytes::from(request.to_string())
}
