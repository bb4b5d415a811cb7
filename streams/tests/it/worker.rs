//! No message is lost, whatever happens to handlers, workers, consumers, connections and stores.

use std::sync::atomic::Ordering;

use streams::topology::{self, SS_COMMANDS, SS_DLQ, Settings};
use streams::worker::Verdict;

use crate::eventually;
use crate::probe::{Probe, commands, declare, empties, left, names, one, start, work};

#[tokio::test]
async fn every_message_is_handled_once_and_never_more_at_a_time_than_there_are_slots() {
    let (_nats, link) = start().await;
    commands(&link, names(0..300)).await;
    let probe = Probe::new(|_, _| Verdict::Done);
    let (task, cancel) = work(&link, 4, &probe);
    empties(&link, SS_COMMANDS).await;
    cancel.cancel();
    task.await.unwrap();
    assert!(probe.seen.lock().unwrap().values().all(|times| *times == 1));
    assert_eq!(probe.seen(), 300);
    assert!(probe.most.load(Ordering::SeqCst) <= 4);
}

#[tokio::test]
async fn no_more_is_taken_than_can_be_started() {
    let (_nats, link) = start().await;
    commands(&link, names(0..20)).await;
    let probe = Probe::gated(0, |_, _| Verdict::Done);
    let (task, cancel) = work(&link, 3, &probe);
    eventually("three are being handled", async || probe.seen() == 3).await;
    let (platform, id) = one();
    let consumer = topology::bind_controller_consumer(&link.jetstream, &platform, &id).await.unwrap().unwrap();
    assert_eq!(consumer.cached_info().num_ack_pending, 3, "the rest is left to others");
    probe.gate.add_permits(1000);
    empties(&link, SS_COMMANDS).await;
    cancel.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_message_that_its_handler_lets_go_of_keeps_no_other_away_and_stays_the_workers() {
    let (_nats, link) = start().await;
    commands(&link, names(0..200)).await;
    let probe = Probe::gated(0, |_, _| Verdict::Done).letting_go();
    let (task, cancel) = work(&link, 3, &probe);
    eventually("all are being handled", async || probe.seen() == 200).await;
    assert_eq!(left(&link, SS_COMMANDS).await, 200, "and none is acknowledged");
    cancel.cancel();
    probe.gate.add_permits(1000);
    task.await.unwrap();
    eventually("all are acknowledged", async || left(&link, SS_COMMANDS).await == 0).await;
}

#[tokio::test]
async fn a_worker_with_free_slots_does_not_ask_for_every_message() {
    let (nats, link) = start().await;
    let publisher = nats.link().await.unwrap();
    let probe = Probe::new(|_, _| Verdict::Done);
    let (task, cancel) = work(&link, 16, &probe);
    let sent = || link.client.statistics().out_messages.load(Ordering::SeqCst);
    let mut before = 0;
    for (handled, name) in names(0..81).enumerate() {
        commands(&publisher, [name]).await;
        eventually("it is handled", async || probe.seen() == handled + 1).await;
        before = if handled == 0 { sent() } else { before };
    }
    empties(&publisher, SS_COMMANDS).await;
    let sent = sent() - before;
    assert!(sent < 80 + 80 / 4, "{sent} messages left for 80 acknowledgements and what was asked");
    cancel.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_panicking_handler_loses_its_attempt_and_not_the_message() {
    let (_nats, link) = start().await;
    commands(&link, names(0..10)).await;
    let probe = Probe::new(|delivery, times| {
        assert!(times > 2 || !delivery.payload.ends_with(b"7"), "as the test wants it");
        Verdict::Done
    });
    let (task, cancel) = work(&link, 2, &probe);
    empties(&link, SS_COMMANDS).await;
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(probe.seen.lock().unwrap()["m0007"], 3);
}

#[tokio::test]
async fn again_means_again() {
    let (_nats, link) = start().await;
    commands(&link, names(0..1)).await;
    let probe = Probe::new(|_, times| if times < 4 { Verdict::Again } else { Verdict::Done });
    let (task, cancel) = work(&link, 2, &probe);
    empties(&link, SS_COMMANDS).await;
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(probe.seen.lock().unwrap()["m0000"], 4);
}

#[tokio::test]
async fn a_parked_message_leaves_its_stream_only_for_the_dead_letters() {
    let (_nats, link) = start().await;
    commands(&link, names(0..5)).await;
    let probe = Probe::new(|_, _| Verdict::Park("undecodable: no such field".into()));
    let (task, cancel) = work(&link, 2, &probe);
    empties(&link, SS_COMMANDS).await;
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(left(&link, SS_DLQ).await, 5);
    let stored = link.jetstream.get_stream(SS_DLQ).await.unwrap().get_raw_message(1).await.unwrap();
    let header = |name: &str| stored.headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header("Streamspace-Reason"), "undecodable");
    assert_eq!(header("Streamspace-Error"), "no such field");
    assert_eq!(header("Streamspace-Original-Subject"), "streamspace.session.create.docker.host-1");
    assert_eq!(header("Streamspace-Stream-Sequence"), "1");
}

#[tokio::test]
async fn a_cancelled_worker_finishes_what_it_started_and_loses_nothing() {
    let (_nats, link) = start().await;
    commands(&link, names(0..50)).await;
    let probe = Probe::gated(10, |_, _| Verdict::Done);
    let (task, cancel) = work(&link, 4, &probe);
    eventually("some are being handled", async || probe.seen() == 14).await;
    cancel.cancel();
    probe.gate.add_permits(4);
    task.await.unwrap();
    let seen = probe.seen();
    assert_eq!(seen, 14, "nothing is started after the cancellation");
    // the server processes acknowledgements in a separate queue, behind its reply to the flush
    eventually("what was started is acknowledged", async || left(&link, SS_COMMANDS).await == 50 - 14).await;
    let next = Probe::new(|_, _| Verdict::Done);
    let (task, cancel) = work(&link, 4, &next);
    empties(&link, SS_COMMANDS).await; // what the first one had pulled was handed back, not left to time out
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(next.seen(), 36);
}

#[tokio::test]
async fn a_standby_takes_over_when_the_active_one_is_gone_and_not_before() {
    let (nats, link) = start().await;
    let second = nats.link().await.unwrap();
    let (a, b) = (Probe::new(|_, _| Verdict::Done), Probe::new(|_, _| Verdict::Done));
    let (task_a, cancel_a) = work(&link, 2, &a);
    commands(&link, names(0..1)).await;
    eventually("the first is active", async || a.seen() == 1).await;
    let (task_b, cancel_b) = work(&second, 2, &b);
    for i in 1..20 {
        commands(&link, names(i..i + 1)).await;
    }
    empties(&link, SS_COMMANDS).await;
    assert_eq!((a.seen(), b.seen()), (20, 0));
    cancel_a.cancel();
    task_a.await.unwrap();
    commands(&link, names(20..30)).await;
    empties(&link, SS_COMMANDS).await;
    assert_eq!(b.seen(), 10);
    cancel_b.cancel();
    task_b.await.unwrap();
}

#[tokio::test]
async fn a_worker_whose_pin_was_taken_stands_by_and_pulls_anew() {
    let (_nats, link) = start().await;
    let probe = Probe::new(|_, _| Verdict::Done);
    let (task, cancel) = work(&link, 2, &probe);
    commands(&link, names(0..5)).await;
    empties(&link, SS_COMMANDS).await;
    let stream = link.jetstream.get_stream(SS_COMMANDS).await.unwrap();
    stream.unpin_consumer("docker_host-1", topology::GROUP).await.unwrap();
    commands(&link, names(5..10)).await;
    empties(&link, SS_COMMANDS).await;
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(probe.seen(), 10);
}

#[tokio::test]
async fn a_worker_survives_restarts_deleted_consumers_and_lost_stores() {
    let (mut nats, link) = start().await;
    let probe = Probe::new(|_, _| Verdict::Done);
    let (task, cancel) = work(&link, 4, &probe);
    commands(&link, names(0..20)).await;
    eventually("the first are handled", async || probe.seen() == 20).await;

    nats.restart().await.unwrap();
    eventually("the connection is back", async || link.is_connected()).await;
    commands(&link, names(20..40)).await;
    eventually("it goes on after a restart", async || probe.seen() == 40).await;

    let (platform, id) = one();
    topology::remove_controller_consumer(&link.jetstream, &platform, &id).await.unwrap();
    commands(&link, names(40..60)).await;
    declare(&link).await;
    eventually("it goes on with the new consumer", async || probe.seen() == 60).await;

    nats.lose_store().await.unwrap();
    eventually("the connection is back", async || link.is_connected()).await;
    topology::declare(&link.jetstream, &Settings::default(), 2).await.unwrap();
    declare(&link).await;
    commands(&link, names(60..80)).await;
    eventually("it goes on with the new store", async || probe.seen() == 80).await;
    cancel.cancel();
    task.await.unwrap();
}
