//! The loop for handlers that process messages in batches: one transaction for everything that has arrived.
//!
//! A single message is handed over at once, and what arrives meanwhile forms the next batch, so batches grow
//! with the load alone.
//!
//! Messages to be parked or redelivered are set aside, so that their delay does not hold up the next batch.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Delivery, Pulled, Verdict, answer, caught, flush, open, with_progress};
use crate::crash::{Moment, point};
use crate::metrics::Metrics;
use crate::parking::Parker;
use crate::puller::Puller;
use crate::source::Source;
use crate::topology::SS_REPORTS;

/// Messages that may be aside at a time. Beyond this nearly everything fails, and messages may as well wait in
/// the stream.
const ASIDE: usize = 1_024;

/// Passes what `source` delivers to `apply`, at most `max` at a time and in stream order, until cancelled.
/// `apply` returns one verdict per message, in order; a missing verdict, or a panic, means [`Verdict::Again`].
pub async fn run_batches<F, A>(source: Source, max: usize, mut apply: F, parker: Parker, cancel: CancellationToken)
where
    F: FnMut(Vec<Delivery>) -> A + Send,
    A: Future<Output = Vec<Verdict>> + Send,
{
    let link = source.link.clone();
    let reports = source.name == SS_REPORTS;
    let again = (source.metrics.clone(), source.name.clone());
    let Some(mut puller) = open(source, &cancel).await else { return };
    let max = max.max(1);
    let mut aside = JoinSet::new();
    loop {
        while aside.try_join_next().is_some() || aside.len() >= ASIDE && aside.join_next().await.is_some() {}
        let batch = tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            batch = gather(&mut puller, max, reports) => batch,
        };
        let Some(batch) = batch else { break };
        mark(reports, "projector.receive", Moment::Before);
        let deliveries = batch.iter().map(|pulled| pulled.delivery.clone()).collect();
        mark(reports, "projector.receive", Moment::During);
        let verdicts = with_progress(&batch, caught(apply(deliveries))).await.unwrap_or_default();
        mark(reports, "projector.ack", Moment::Before);
        settle(batch, verdicts, &mut aside, &Settling { again: &again, parker: &parker, cancel: &cancel }).await;
        mark(reports, "projector.ack", Moment::During);
        if cfg!(feature = "crash-points") {
            flush(&link).await; // so that the next crash point is truly after it
        }
        mark(reports, "projector.ack", Moment::After);
    }
    while aside.join_next().await.is_some() {}
    puller.close().await;
    flush(&link).await;
}

/// Waits for one message and takes all others that have arrived. `None` if the connection was closed.
async fn gather(puller: &mut Puller, max: usize, reports: bool) -> Option<Vec<Pulled>> {
    let mut batch = vec![puller.next(max, max / 2).await?];
    while batch.len() < max {
        let Some(pulled) = puller.ready().await else { break };
        batch.push(pulled);
    }
    mark(reports, "projector.receive", Moment::After);
    Some(batch)
}

/// What settling needs besides the messages.
struct Settling<'a> {
    /// Counters of redelivered messages, and the name of the consumer.
    again: &'a (Metrics, String),
    parker: &'a Parker,
    cancel: &'a CancellationToken,
}

async fn settle(batch: Vec<Pulled>, verdicts: Vec<Verdict>, aside: &mut JoinSet<()>, with: &Settling<'_>) {
    let missing = std::iter::repeat(Verdict::Again);
    for (pulled, verdict) in batch.into_iter().zip(verdicts.into_iter().chain(missing)) {
        if verdict == Verdict::Done {
            done(&pulled, with.again).await;
            continue;
        }
        let (parker, cancel, again) = (with.parker.clone(), with.cancel.clone(), with.again.clone());
        aside.spawn(async move {
            let answered = answer(&pulled, verdict, &parker, &cancel);
            if with_progress(std::slice::from_ref(&pulled), answered).await {
                done(&pulled, &again).await;
            }
        });
    }
}

async fn done(pulled: &Pulled, (metrics, name): &(Metrics, String)) {
    pulled.ack().await;
    if pulled.delivery.delivered > 1 {
        metrics.done(name, pulled.delivery.stream_sequence);
    }
}

/// Crash points of the projector; dead letters, which also come through here, have their own.
fn mark(reports: bool, step: &str, moment: Moment) {
    if reports {
        point(step, moment);
    }
}
