//! The courier may be away, be killed, or lose everything: what was accepted still ends where it should.

use crate::rig::{Rig, eventually};

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
