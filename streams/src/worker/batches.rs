//! The loop for whoever handles messages in batches: one transaction for all that has come by now.
//!
//! A single message is handed over at once, and what comes meanwhile makes the next batch: load alone makes batches large.

use tokio_util::sync::CancellationToken;

use super::{Delivery, Pulled, Verdict, answer, caught, flush, open, with_progress};
use crate::crash::{Moment, point};
use crate::parking::Parker;
use crate::puller::Puller;
use crate::source::Source;
use crate::topology::SS_REPORTS;

/// Hands what `source` delivers to `apply`, at most `max` at a time and in the order of the stream, until cancelled. `apply`
/// answers with one verdict for each message, in their order; a missing verdict, or a panic, means [`Verdict::Again`].
pub async fn run_batches<F, A>(source: Source, max: usize, mut apply: F, parker: Parker, cancel: CancellationToken)
where
    F: FnMut(Vec<Delivery>) -> A + Send,
    A: Future<Output = Vec<Verdict>> + Send,
{
    let link = source.link.clone();
    let reports = source.name == SS_REPORTS;
    let Some(mut puller) = open(source, &cancel).await else { return };
    let max = max.max(1);
    loop {
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
        settle(&batch, verdicts, &parker, &cancel).await;
        mark(reports, "projector.ack", Moment::During);
        if cfg!(feature = "crash-points") {
            flush(&link).await; // so that the next point is truly after
        }
        mark(reports, "projector.ack", Moment::After);
    }
    puller.close().await;
    flush(&link).await;
}

/// Waits for one message, and takes what else is there. `None` when the connection was closed for good.
async fn gather(puller: &mut Puller, max: usize, reports: bool) -> Option<Vec<Pulled>> {
    let mut batch = vec![puller.next(max, max / 2).await?];
    while batch.len() < max {
        let Some(pulled) = puller.ready().await else { break };
        batch.push(pulled);
    }
    mark(reports, "projector.receive", Moment::After);
    Some(batch)
}

async fn settle(batch: &[Pulled], verdicts: Vec<Verdict>, parker: &Parker, cancel: &CancellationToken) {
    let missing = std::iter::repeat(Verdict::Again);
    let mut later = Vec::new();
    for (pulled, verdict) in batch.iter().zip(verdicts.into_iter().chain(missing)) {
        if verdict == Verdict::Done {
            pulled.ack().await;
        } else {
            later.push(async move {
                if answer(pulled, verdict, parker, cancel).await {
                    pulled.ack().await;
                }
            });
        }
    }
    futures::future::join_all(later).await;
}

/// The crash points are those of the projector; dead letters come through here too, and have points of their own.
fn mark(reports: bool, step: &str, moment: Moment) {
    if reports {
        point(step, moment);
    }
}
