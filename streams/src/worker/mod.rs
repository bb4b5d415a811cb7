//! The loop that takes messages from a consumer, has them handled, and then acknowledges them.
//!
//! It never pulls more than the worker may hold. A handler that drops [`Held`] makes room for the next message
//! while it is still working, so a worker that queues messages by kind sees far enough ahead to find urgent
//! ones. After a cancellation, messages that were started are finished and the others returned to the server. A
//! handler that panics loses its attempt, neither the message nor the worker.

mod batches;
mod delivery;
mod held;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub use batches::run_batches;
pub(crate) use delivery::Pulled;
pub use delivery::{Delivery, Headers};
pub use held::Held;

use crate::connect::{Link, backoff};
use crate::crash::{Moment, point};
use crate::parking::Parker;
use crate::puller::Puller;
use crate::source::Source;
use crate::subject::family;
use crate::trace;
use held::Hand;

/// Less than half of the server's acknowledgement wait.
const PROGRESS: Duration = Duration::from_secs(5);
const FLUSH: Duration = Duration::from_secs(2);
/// Maximum messages per pull; messages in flight may exceed the limit in bytes by this many.
const PULL: usize = 64;
/// Maximum delay, so that a message that is redelivered for ever does not keep a core busy.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Processed: acknowledge it.
    Done,
    /// Cannot be processed: park it with this reason (see [`Parker::park`]), then acknowledge it.
    Park(String),
    /// Redeliver it.
    Again,
}

/// Handles messages, several at a time.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles one message. The same message may be delivered again, even after [`Verdict::Done`]. Dropping
    /// `held` early lets the worker take another message.
    async fn handle(&self, delivery: &Delivery, held: Held) -> Verdict;
}

/// Handles what `source` delivers until cancelled, holding at most `most` messages. Returns when everything
/// that was started is finished and acknowledged.
pub async fn run<H>(source: Source, most: usize, handler: Arc<H>, parker: Parker, cancel: CancellationToken)
where
    H: Handler + ?Sized,
{
    let link = source.link.clone();
    let Some(mut puller) = open(source, &cancel).await else { return };
    let hand = Hand::new(most);
    let mut running = JoinSet::new();
    let work = Arc::new(Work { handler, parker, cancel: cancel.clone() });
    let mut cancelled = std::pin::pin!(cancel.cancelled());
    loop {
        let free = hand.free().min(PULL);
        tokio::select! {
            biased;
            () = cancelled.as_mut() => break,
            Some(_) = running.join_next(), if !running.is_empty() => {}
            () = hand.freed() => {}
            // Request more once half of it is outstanding, so that not every settled message costs a request.
            pulled = puller.next(free, free / 2), if free > 0 => {
                let Some(pulled) = pulled else { break };
                point("worker.receive", Moment::Before);
                let held = hand.take(pulled.delivery.payload.len());
                running.spawn(one(pulled, held, work.clone()));
            }
        }
    }
    puller.close().await;
    while running.join_next().await.is_some() {}
    flush(&link).await;
}

/// Opens the puller, retrying until it works; `None` if cancelled.
async fn open(source: Source, cancel: &CancellationToken) -> Option<Puller> {
    let mut attempt = 0;
    loop {
        match Puller::open(source.clone()).await {
            Ok(puller) => return Some(puller),
            Err(error) => tracing::warn!(consumer = %source.name, error = %error, "cannot subscribe; retrying"),
        }
        attempt += 1;
        tokio::select! {
            () = cancel.cancelled() => return None,
            () = tokio::time::sleep(backoff(attempt)) => {}
        }
    }
}

/// What every message of a worker needs.
struct Work<H: ?Sized> {
    handler: Arc<H>,
    parker: Parker,
    cancel: CancellationToken,
}

async fn one<H: Handler + ?Sized>(pulled: Pulled, held: Held, work: Arc<Work<H>>) {
    let span = span(&pulled.delivery);
    async {
        point("worker.receive", Moment::During);
        let handled = caught(work.handler.handle(&pulled.delivery, held));
        let verdict = with_progress(std::slice::from_ref(&pulled), handled).await;
        point("worker.receive", Moment::After);
        if answer(&pulled, verdict.unwrap_or(Verdict::Again), &work.parker, &work.cancel).await {
            point("worker.ack", Moment::Before);
            pulled.ack().await;
            point("worker.ack", Moment::During);
            if cfg!(feature = "crash-points") {
                pulled.flush().await; // so that the next crash point is truly after it
            }
            point("worker.ack", Moment::After);
        }
    }
    .instrument(span)
    .await;
}

/// The span of a delivery, within its publisher's trace.
fn span(delivery: &Delivery) -> tracing::Span {
    let name = format!("{} process", family(&delivery.subject));
    let span = tracing::info_span!(
        "consume",
        otel.name = %name,
        otel.kind = "consumer",
        messaging.system = "nats",
        messaging.destination.name = %delivery.subject,
        messaging.message.id = delivery.message_id.as_deref(),
        nats.sequence = delivery.stream_sequence,
        nats.delivered = delivery.delivered,
    );
    if let Some(parent) = &delivery.traceparent {
        trace::set_parent(&span, parent);
    }
    span
}

/// Settles a message; returns whether to acknowledge it.
async fn answer(pulled: &Pulled, verdict: Verdict, parker: &Parker, cancel: &CancellationToken) -> bool {
    match verdict {
        Verdict::Done => return true,
        Verdict::Park(why) => match parker.park(&pulled.delivery, &why).await {
            Ok(_) => return true,
            // It is redelivered every few seconds until it can be parked; one log line is enough.
            Err(error) if pulled.delivery.delivered > 1 => tracing::debug!(%error, "still cannot park a message"),
            Err(error) => {
                tracing::error!(subject = %pulled.delivery.subject, why, error = %error, "cannot park a message; it stays in its stream");
            }
        },
        Verdict::Again => {}
    }
    pause(&pulled.delivery, cancel).await;
    pulled.nak().await;
    false
}

/// No delay at the first delivery, then increasing. The wait is here because delayed NAKs are unreliable on the
/// server.
async fn pause(delivery: &Delivery, cancel: &CancellationToken) {
    let times = u32::try_from(delivery.delivered.saturating_sub(1).clamp(0, 100)).unwrap_or(0);
    let wait = (Duration::from_millis(100) * times).min(LONGEST_PAUSE);
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}

/// Reports progress regularly while `work` runs.
async fn with_progress<T>(pulled: &[Pulled], work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(PROGRESS, work.as_mut()).await {
            Ok(done) => return done,
            Err(_) => futures::future::join_all(pulled.iter().map(Pulled::progress)).await,
        };
    }
}

/// The result, or `None` after a panic. A handler's state must survive that, just as it survives a kill.
async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => Some(done),
        Err(panic) => {
            let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(panic = said, "a handler panicked; its message will be delivered again");
            None
        }
    }
}

async fn flush(link: &Link) {
    if let Ok(Err(error)) = tokio::time::timeout(FLUSH, link.client.flush()).await {
        tracing::debug!(error = %error, "could not flush acknowledgements");
    }
}
