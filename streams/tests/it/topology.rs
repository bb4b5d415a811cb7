//! Streams are declared, compared and kept; never deleted, never silently different.

use std::time::Duration;

use bytes::Bytes;
use streams::ids::{ControllerId, Platform};
use streams::metrics::Metrics;
use streams::publisher::{Error as PublishError, Outgoing, Publisher};
use streams::testing::nats;
use streams::topology::{self, Error, Limits, SS_COMMANDS, SS_DLQ, SS_REPORTS, STREAMS, Settings};

use crate::eventually;

const fn few(messages: u64) -> Limits {
    Limits { messages, ..Limits::COMMANDS }
}

fn one() -> (Platform, ControllerId) {
    (Platform::try_new("docker").unwrap(), ControllerId::try_new("host-1").unwrap())
}

fn command(id: usize, payload: &[u8]) -> Outgoing {
    Outgoing {
        subject: "streamspace.session.create.docker.host-1".into(),
        message_id: format!("id-{id}"),
        payload: Bytes::copy_from_slice(payload),
        ..Outgoing::default()
    }
}

#[tokio::test]
async fn declaring_twice_changes_nothing() {
    let nats = nats().await;
    let link = nats.link().await.unwrap();
    let first = topology::declare(&link.jetstream, &Settings::default(), 7).await.unwrap();
    assert_eq!(first.iter().map(|s| s.name).collect::<Vec<_>>(), STREAMS);
    assert!(first.iter().all(|state| state.created && state.epoch == 7));
    let second = topology::declare(&link.jetstream, &Settings::default(), 8).await.unwrap();
    assert!(second.iter().all(|state| !state.created && state.epoch == 7), "the epoch of a living stream stands");
    let seen = topology::inspect(&link.jetstream).await.unwrap();
    assert_eq!(
        seen.into_iter().flatten().map(|s| s.created_at).collect::<Vec<_>>(),
        first.iter().map(|s| s.created_at).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn two_engines_that_start_together_agree_on_one_epoch() {
    let nats = nats().await;
    let (a, b) = (nats.link().await.unwrap(), nats.link().await.unwrap());
    let settings = Settings::default();
    let (a, b) =
        tokio::join!(topology::declare(&a.jetstream, &settings, 1), topology::declare(&b.jetstream, &settings, 2));
    let epochs = |states: Vec<topology::StreamState>| states.into_iter().map(|s| s.epoch).collect::<Vec<_>>();
    assert_eq!(epochs(a.unwrap()), epochs(b.unwrap()));
}

#[tokio::test]
async fn a_changed_setting_is_applied_and_messages_stay() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let publisher = Publisher::new(link.clone(), Metrics::default());
    publisher.publish(command(1, b"x")).await.unwrap();
    let settings = Settings { commands: few(10), duplicate_window: Duration::from_secs(60), ..Settings::default() };
    let states = topology::declare(&link.jetstream, &settings, 9).await.unwrap();
    assert_eq!((states[0].messages, states[0].epoch, states[0].created), (1, 1, false));
    let stream = link.jetstream.get_stream(SS_COMMANDS).await.unwrap();
    assert_eq!(stream.cached_info().config.max_messages, 10);
}

#[tokio::test]
async fn of_two_engines_that_ask_for_different_limits_the_one_that_began_later_is_heard() {
    let nats = nats().await;
    let link = nats.link().await.unwrap();
    let asks = |since_ms, messages| Settings { since_ms, commands: few(messages), ..Settings::default() };
    let (before, after) = (asks(1, 10), asks(2, 20));
    for (settings, heard) in [(&before, 10), (&after, 20), (&before, 20), (&after, 20)] {
        let states = topology::declare(&link.jetstream, settings, 1).await.unwrap();
        assert_eq!(states[0].max_messages, heard);
        let examined = topology::examine(&link.jetstream, settings).await.unwrap();
        assert!(examined.iter().flatten().all(|standing| standing.differs.is_empty()), "{examined:?}");
    }
    topology::forget(&link.jetstream, SS_COMMANDS).await.unwrap();
    for (settings, heard) in [(&before, 10), (&after, 20)] {
        let states = topology::declare(&link.jetstream, settings, 2).await.unwrap();
        assert_eq!(states[0].max_messages, heard, "also where the older of them makes the stream anew");
    }
}

#[tokio::test]
async fn what_the_server_cannot_change_is_refused_with_the_reason() {
    let nats = nats().await;
    let link = nats.link().await.unwrap();
    let other = async_nats::jetstream::stream::Config {
        name: SS_REPORTS.into(),
        subjects: streams::subject::report_stream_subjects(),
        ..Default::default()
    };
    link.jetstream.create_stream(other).await.unwrap();
    let error = topology::declare(&link.jetstream, &Settings::default(), 1).await.unwrap_err();
    assert!(matches!(error, Error::Unchangeable { stream: SS_REPORTS, field: "retention", .. }), "{error}");
    assert!(link.jetstream.get_stream(SS_REPORTS).await.is_ok(), "it is still there");
}

#[tokio::test]
async fn a_lost_store_comes_back_under_a_new_epoch() {
    let mut nats = nats().await;
    let link = nats.declared().await.unwrap();
    let before = topology::inspect(&link.jetstream).await.unwrap()[0].clone().unwrap();
    nats.lose_store().await.unwrap();
    eventually("the connection is back", async || link.is_connected()).await;
    eventually("the server says that the streams are gone", async || {
        topology::inspect(&link.jetstream).await.is_ok_and(|states| states.iter().all(Option::is_none))
    })
    .await;
    let after = topology::declare(&link.jetstream, &Settings::default(), 2).await.unwrap();
    assert!(after.iter().all(|state| state.created && state.epoch == 2));
    assert_ne!(after[0].created_at, before.created_at);
}

#[tokio::test]
async fn a_full_work_queue_refuses_and_drops_nothing() {
    let nats = nats().await;
    let link = nats.link().await.unwrap();
    let settings = Settings { commands: few(3), ..Settings::default() };
    topology::declare(&link.jetstream, &settings, 1).await.unwrap();
    let publisher = Publisher::new(link.clone(), Metrics::default());
    let results = publisher.publish_all((0..5).map(|i| command(i, b"x")).collect()).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 3);
    assert!(results[3..].iter().all(|r| matches!(r, Err(PublishError::Full(_)))), "{results:?}");
    let state = topology::inspect(&link.jetstream).await.unwrap()[0].clone().unwrap();
    assert_eq!((state.messages, state.first_seq), (3, 1), "the oldest is still there");
}

#[tokio::test]
async fn a_work_queue_holds_a_sequence_until_it_is_acknowledged() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let (platform, id) = one();
    topology::declare_controller_consumer(&link.jetstream, &platform, &id).await.unwrap();
    let acked = Publisher::new(link.clone(), Metrics::default()).publish(command(1, b"x")).await.unwrap();
    assert!(topology::holds(&link.jetstream, SS_COMMANDS, acked.sequence).await.unwrap());
    assert!(!topology::holds(&link.jetstream, SS_COMMANDS, 99).await.unwrap());
    assert!(!topology::holds(&link.jetstream, "SS_NO_SUCH_STREAM", 1).await.unwrap());
}

#[tokio::test]
async fn consumers_are_as_the_design_says_and_declaring_twice_changes_nothing() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    topology::declare_engine_consumers(&link.jetstream).await.unwrap();
    for stream in [SS_REPORTS, SS_DLQ] {
        assert!(topology::bind_engine_consumer(&link.jetstream, stream).await.unwrap().is_some());
    }
    let (platform, id) = one();
    assert!(
        topology::bind_controller_consumer(&link.jetstream, &platform, &id).await.unwrap().is_none(),
        "only the engine creates"
    );
    for _ in 0..2 {
        topology::declare_controller_consumer(&link.jetstream, &platform, &id).await.unwrap();
    }
    let consumer = topology::bind_controller_consumer(&link.jetstream, &platform, &id).await.unwrap().unwrap();
    let config = &consumer.cached_info().config;
    assert_eq!((config.max_deliver, config.ack_wait, config.backoff.len()), (-1, Duration::from_secs(15), 0));
    assert_eq!(config.filter_subject, "streamspace.*.*.docker.host-1");
    assert_eq!(config.priority_groups, ["active"]);
    topology::remove_controller_consumer(&link.jetstream, &platform, &id).await.unwrap();
    topology::remove_controller_consumer(&link.jetstream, &platform, &id).await.unwrap();
    assert!(topology::bind_controller_consumer(&link.jetstream, &platform, &id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_too_large_to_be_parked_is_refused_at_once() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let publisher = Publisher::new(link.clone(), Metrics::default());
    let limit = link.client.max_payload();
    for size in [limit - 1000, limit + 1] {
        let error = publisher.publish(command(size, &vec![b'x'; size])).await.unwrap_err();
        assert!(matches!(error, PublishError::TooLarge(_)), "{size}: {error}");
    }
    assert!(link.is_connected());
}
