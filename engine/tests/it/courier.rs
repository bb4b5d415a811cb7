//! The courier may be away, be killed, or lose everything: what was accepted still ends where it should.

use futures::StreamExt;
use serde_json::json;
use streams::topology::{self, STREAMS};

use crate::rig::{Rig, eventually, lane};

#[tokio::test]
async fn when_the_command_stream_is_lost_its_commands_are_sent_again_under_a_new_epoch() {
    let rig = Rig::sqlite().await;
    let _announced = rig.controller().await;
    let id = rig.create().await.session_id;
    let published = || async { rig.commands(id).await.into_iter().find(|(_, status)| status == "published") };
    eventually("the command is published", published).await;
    let jetstream = async_nats::jetstream::new(rig.client.clone());
    for stream in ["SS_COMMANDS", "SS_REPORTS", "SS_DLQ"] {
        jetstream.delete_stream(stream).await.expect("deleted");
    }
    let remade = || async { jetstream.get_stream("SS_COMMANDS").await.ok() };
    eventually("the stream is made anew", remade).await;
    let mut controller = rig.controller().await;
    let command = controller.take().await;
    assert_eq!((command["session_id"].as_str(), command["attempt"].as_i64()), (Some(id.to_string().as_str()), Some(2)));
    controller.report(&command, "running").await;
    rig.until(id, "running").await;
}

#[tokio::test]
async fn what_is_accepted_while_nats_is_away_is_delivered_when_it_is_back() {
    let mut rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    rig.nats.down().await.expect("down");
    let id = rig.create().await.session_id;
    assert_eq!(rig.session(id).await.status, "pending");
    rig.nats.up().await.expect("up");
    let command = controller.take().await;
    assert_eq!(command["session_id"], id.to_string());
    controller.report(&command, "running").await;
    rig.until(id, "running").await;
}

#[tokio::test]
async fn when_nats_loses_its_whole_store_every_session_still_ends_right() {
    let mut rig = Rig::sqlite().await;
    let _announced = rig.controller().await;
    let ids = [rig.create().await.session_id, rig.create().await.session_id];
    rig.nats.lose_store().await.expect("lost and started again");
    let mut controller = rig.controller().await;
    for _ in ids {
        let command = controller.take().await;
        controller.report(&command, "running").await;
    }
    for id in ids {
        rig.until(id, "running").await;
    }
    assert_eq!(engine::account::unaccounted(rig.engine.reader()).await.expect("readable"), 0);
}

#[tokio::test]
async fn the_streams_are_rebuilt_from_the_log_while_work_is_under_way_and_nothing_is_done_twice() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let (sleeping, command) = rig.running(&mut controller).await;
        let done = rig.create().await.session_id;
        let stale = controller.take().await; // in the hands of its controller when the streams go
        let waiting = rig.create().await.session_id;
        let published = || async { rig.commands(waiting).await.into_iter().find(|(_, status)| status == "published") };
        eventually("the command is published", published).await;

        let rebuilt = rig.engine.rebuild_streams("the store is damaged".into(), "ops".into()).await.expect("rebuilt");
        assert_eq!(rebuilt.commands, 2, "those that were open, and no other");
        assert!(rebuilt.epoch > 1, "{rebuilt:?}");
        rig.engine.ask(sleeping, engine::writer::Ask::Hibernate).await.expect("accepted");

        let again = || async {
            let log = rig.log(done).await;
            log.into_iter().find(|row| row.attempt == 2 && row.status.as_deref() == Some("published"))
        };
        eventually("the command is published again", again).await;
        controller.report(&stale, "running").await; // of the attempt before
        let mut controller = rig.controller().await;
        let mut sent = Vec::new();
        while sent.len() < 2 || rig.session(sleeping).await.status != "hibernated" {
            let next = controller.take().await;
            let verb = if next["session_id"] == sleeping.to_string() { "hibernated" } else { "running" };
            assert_ne!(next["event_id"], command["event_id"], "what was completed is not sent again");
            controller.report(&next, verb).await;
            let id = next["session_id"].as_str().expect("an id").parse().expect("a UUID");
            rig.until(id, verb).await;
            if verb == "running" {
                sent.push((id, next["attempt"].as_i64()));
            }
        }
        sent.sort_unstable();
        let mut wanted = [(done, Some(2)), (waiting, Some(2))];
        wanted.sort_unstable();
        assert_eq!(sent, wanted);
        for id in [done, waiting] {
            assert_eq!(rig.commands(id).await, [("session.create".to_owned(), "completed".to_owned())]);
        }
        let log = engine::queries::events(rig.engine.reader(), "jetstream", 0, 10).await.expect("readable");
        assert_eq!((log.len(), &log[0].payload["by"]), (1, &serde_json::json!("ops")));
        assert_eq!(engine::account::unaccounted(rig.engine.reader()).await.expect("readable"), 0);
        let report = engine::verify::whole(rig.engine.reader()).await.expect("readable");
        assert_eq!((report.found, report.only_log), (0, 1), "{report:?}");
        rig.engine.stop().await;
    }
}

/// Without a new epoch every report would be taken for one from before, until their number is above what it was.
#[tokio::test]
async fn streams_that_were_restored_to_an_older_state_are_made_anew_and_what_comes_after_counts() {
    for mut rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        rig.running(&mut controller).await;
        rig.nats.back_up().await.expect("copied");
        let mut controller = rig.controller().await;
        let (known, _) = rig.running(&mut controller).await;
        rig.running(&mut controller).await;
        let open = rig.create().await.session_id;
        let taken = controller.take().await; // its report was on the way when the server went down
        let mut asked = rig.client.subscribe("streamspace.controller.sync.>").await.expect("subscribed");

        rig.nats.restore().await.expect("put back");
        let jetstream = async_nats::jetstream::new(rig.client.clone());
        let anew = || async {
            let states = topology::inspect(&jetstream).await.ok()?;
            let epochs: Vec<i64> = states.into_iter().flatten().map(|state| state.epoch).collect();
            (epochs.len() == STREAMS.len() && epochs[0] > 1 && epochs[1] > 1).then_some(epochs)
        };
        assert_eq!(eventually("a new epoch", anew).await, [2, 2, 1], "unread dead letters are nowhere else");
        asked.next().await.expect("controllers are asked for what they have");
        let mut controller = rig.controller().await;
        let again = controller.take().await;
        assert_eq!((&again["event_id"], again["attempt"].as_i64()), (&taken["event_id"], Some(2)));
        controller.report(&again, "running").await;
        rig.until(open, "running").await;
        let itself = json!({ "session_id": known, "generation": rig.session(known).await.generation });
        let moved = controller.status(&itself, "running", json!({ "url": "http://moved" }));
        controller.publish(&lane(), moved).await;
        let applied = || async { (rig.session(known).await.url.as_deref() == Some("http://moved")).then_some(()) };
        eventually("a report that came after counts", applied).await;
        assert_eq!(engine::account::unaccounted(rig.engine.reader()).await.expect("readable"), 0);
        assert!(rig.dead_letters().await.is_empty());
        rig.engine.stop().await;
    }
}

/// All that may make a stream look odd while nothing went back.
#[tokio::test]
async fn no_healthy_stream_is_taken_for_an_older_one() {
    for mut rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        rig.running(&mut controller).await;
        let jetstream = async_nats::jetstream::new(rig.client.clone());
        for stream in ["SS_COMMANDS", "SS_REPORTS"] {
            jetstream.get_stream(stream).await.expect("there").purge().await.expect("purged");
        }
        rig.nats.restart().await.expect("again");
        rig.restart().await; // an engine that has seen nothing yet
        let mut controller = rig.controller().await;
        rig.running(&mut controller).await;
        tokio::time::sleep(std::time::Duration::from_secs(12)).await; // two looks, and some
        let states = topology::inspect(&jetstream).await.expect("readable");
        assert!(states.into_iter().flatten().all(|state| state.epoch == 1));
        rig.engine.stop().await;
    }
}
