//! Batches grow with the load alone, and each message in them gets its own verdict.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streams::metrics::Metrics;
use streams::source::Source;
use streams::testing::nats;
use streams::topology::{self, SS_DLQ, SS_REPORTS, Settings};
use streams::worker::{Delivery, Verdict, run_batches};
use tokio_util::sync::CancellationToken;

use crate::eventually;
use crate::probe::{empties, left, names, parker, publish};

#[tokio::test]
async fn batches_hand_over_a_single_message_at_once_and_a_burst_together() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let (sizes, panicked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let apply = {
        let (sizes, panicked) = (sizes.clone(), panicked.clone());
        move |batch: Vec<Delivery>| {
            let (sizes, panicked) = (sizes.clone(), panicked.clone());
            async move {
                assert!(batch.len() == 1 || panicked.swap(true, Ordering::SeqCst), "as the test wants it");
                assert!(batch.is_sorted_by_key(|d| d.stream_sequence) || batch.iter().any(|d| d.delivered > 1));
                sizes.lock().unwrap().push(batch.iter().map(|d| d.stream_sequence).collect::<Vec<_>>());
                batch.iter().map(|_| Verdict::Done).collect()
            }
        }
    };
    let source = Source::engine(link.clone(), SS_REPORTS, Metrics::default());
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run_batches(source, 64, apply, parker(&link), cancel.clone()));
    let started = std::time::Instant::now();
    publish(&link, "streamspace.session.status", names(0..1)).await;
    empties(&link, SS_REPORTS).await;
    assert!(started.elapsed() < Duration::from_secs(5), "one message does not wait for more");
    publish(&link, "streamspace.session.status.docker.host-1", names(1..1000)).await;
    empties(&link, SS_REPORTS).await;
    cancel.cancel();
    task.await.unwrap();
    let sizes = sizes.lock().unwrap();
    assert_eq!(sizes[0], [1]);
    assert!(sizes.iter().all(|batch| batch.len() <= 64));
    assert_eq!(sizes.iter().flatten().collect::<BTreeSet<_>>().len(), 1000, "also after a batch that panicked");
    assert!(panicked.load(Ordering::SeqCst));
}

#[tokio::test]
async fn in_a_batch_each_message_gets_its_own_verdict() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    publish(&link, "streamspace.session.status", names(0..30)).await;
    let again = Arc::new(AtomicUsize::new(0));
    let counted = again.clone();
    let apply = move |batch: Vec<Delivery>| {
        let counted = counted.clone();
        async move {
            let verdict = |d: &Delivery| match d.stream_sequence % 3 {
                0 => Verdict::Park("illegal: as the test wants it".into()),
                1 if d.delivered == 1 => {
                    counted.fetch_add(1, Ordering::SeqCst);
                    Verdict::Again
                }
                _ => Verdict::Done,
            };
            batch.iter().map(verdict).collect()
        }
    };
    let source = Source::engine(link.clone(), SS_REPORTS, Metrics::default());
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run_batches(source, 16, apply, parker(&link), cancel.clone()));
    empties(&link, SS_REPORTS).await;
    cancel.cancel();
    task.await.unwrap();
    assert_eq!((left(&link, SS_DLQ).await, again.load(Ordering::SeqCst)), (10, 10));
}

#[tokio::test]
async fn a_report_brings_the_epoch_of_its_own_stream_with_it() {
    let mut nats = nats().await;
    let link = nats.declared().await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = told.clone();
    let apply = move |batch: Vec<Delivery>| {
        kept.lock().unwrap().extend(batch.iter().map(|d| (d.stream_epoch, d.stream_sequence)));
        async move { batch.iter().map(|_| Verdict::Done).collect() }
    };
    let source = Source::engine(link.clone(), SS_REPORTS, Metrics::default());
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run_batches(source, 16, apply, parker(&link), cancel.clone()));
    publish(&link, "streamspace.session.status", names(0..2)).await;
    empties(&link, SS_REPORTS).await;
    nats.lose_store().await.unwrap();
    eventually("the connection is back", async || link.is_connected()).await;
    topology::declare(&link.jetstream, &Settings::default(), 2).await.unwrap();
    topology::declare_engine_consumers(&link.jetstream).await.unwrap();
    publish(&link, "streamspace.session.status", names(2..3)).await;
    empties(&link, SS_REPORTS).await;
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(*told.lock().unwrap(), [(1, 1), (1, 2), (2, 1)]);
}

#[tokio::test]
async fn a_message_that_comes_again_waits_alone() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let metrics = Metrics::default();
    let apply = |batch: Vec<Delivery>| async move {
        let stuck = |d: &Delivery| d.stream_sequence == 1 && d.delivered < 12;
        batch.iter().map(|d| if stuck(d) { Verdict::Again } else { Verdict::Done }).collect()
    };
    let source = Source::engine(link.clone(), SS_REPORTS, metrics.clone());
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run_batches(source, 16, apply, parker(&link), cancel.clone()));
    publish(&link, "streamspace.session.status", names(0..1)).await;
    eventually("it came often enough to be waited for", async || {
        metrics.redelivered_now().first().is_some_and(|message| message.delivered >= 6)
    })
    .await;
    let begun = std::time::Instant::now();
    for n in 1..20 {
        publish(&link, "streamspace.session.status", names(n..n + 1)).await;
        eventually("the one behind it is done with", async || left(&link, SS_REPORTS).await <= 1).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "the others took {:?}", begun.elapsed());
    empties(&link, SS_REPORTS).await;
    eventually("nothing comes again", async || metrics.redelivered_now().is_empty()).await;
    cancel.cancel();
    task.await.unwrap();
}
