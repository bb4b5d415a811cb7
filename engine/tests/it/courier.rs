//! JetStream may be lost: its streams are made anew, and what was in them is driven again.

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
