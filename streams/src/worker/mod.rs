//! The loop that takes messages from a consumer, has them handled, and acknowledges them afterwards.
//!
//! No more is pulled than the worker may hold. A handler that lets go of [`Held`] makes room for the next message while it still
//! works on its own, so a worker that queues messages by kind sees far enough ahead to find the urgent ones. What was started is
//! finished, also after the cancellation; what was pulled and not started is handed back. A handler that panics loses its
//! attempt, not the message and not the worker.

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

/// Half of the server's patience, and some more.
const PROGRESS: Duration = Duration::from_secs(5);
const FLUSH: Duration = Duration::from_secs(2);
/// Messages that one pull asks for at most: what is on its way may exceed the limit in bytes by so many messages.
const PULL: usize = 64;
/// A message that comes back again and again must not keep a core busy.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is to become of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is dealt with: acknowledge.
    Done,
    /// Nobody can process it: park it, with the reason as [`Parker::park`] reads it, then acknowledge.
    Park(String),
    /// Deliver it again.
    Again,
}

/// Whoever handles messages, several at a time.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles one message. The same message may come again, also after [`Verdict::Done`]. Dropping `held` before the end lets
    /// the worker take another message.
    async fn handle(&self, delivery: &Delivery, held: Held) -> Verdict;
}

/// Handles what `source` delivers until cancelled, holding at most `most` messages; returns when what was started is finished
/// and acknowledged.
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
            // half of it may be on its way before more is asked for, so that not every end of a message costs a request
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

/// Opens the puller, trying until it works; `None` when cancelled.
async fn open(source: Source, cancel: &CancellationToken) -> Option<Puller> {
    let mut attempt = 0;
    loop {
        match Puller::open(source.clone()).await {
            Ok(puller) => return Some(puller),
            Err(error) => tracing::warn!(consumer = %source.name, error = %error, "cannot subscribe; trying again"),
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
                pulled.flush().await; // so that the next point is truly after
            }
            point("worker.ack", Moment::After);
        }
    }
    .instrument(span)
    .await;
}

/// The span of one delivery, within the trace of whoever published it.
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

/// Whether the message is to be acknowledged. Otherwise it was handed back.
async fn answer(pulled: &Pulled, verdict: Verdict, parker: &Parker, cancel: &CancellationToken) -> bool {
    match verdict {
        Verdict::Done => return true,
        Verdict::Park(why) => match parker.park(&pulled.delivery, &why).await {
            Ok(_) => return true,
            // It comes again every few seconds until it can be parked: once is enough to be told.
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

/// Nothing at the first delivery, then longer each time. The wait is here, because a delayed NAK is not the server's strength.
async fn pause(delivery: &Delivery, cancel: &CancellationToken) {
    let times = u32::try_from(delivery.delivered.saturating_sub(1).clamp(0, 100)).unwrap_or(0);
    let wait = (Duration::from_millis(100) * times).min(LONGEST_PAUSE);
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}

/// Tells the server again and again that the messages are still being worked on.
async fn with_progress<T>(pulled: &[Pulled], work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(PROGRESS, work.as_mut()).await {
            Ok(done) => return done,
            Err(_) => futures::future::join_all(pulled.iter().map(Pulled::progress)).await,
        };
    }
}

/// The result, or `None` after a panic. A handler's state must bear that, as it must bear a killed process.
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
