//! I5: folding the log gives the rows.

use engine::fold::fold;
use engine::store::session;
use engine::writer::Ask;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::rig::Rig;

async fn folded(rig: &Rig, id: Uuid) -> Map<String, Value> {
    fold(rig.engine.reader(), &session::Model::entity(id)).await.expect("the fold order has no gaps")
}

fn stored(row: &session::Model) -> Map<String, Value> {
    row.hard().expect("readable")
}

#[tokio::test]
async fn folding_the_log_gives_the_row_after_every_step() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    assert_eq!(folded(&rig, id).await, stored(&rig.session(id).await));
    let command = controller.take().await;
    controller.report(&command, "creating").await;
    controller.report(&command, "running").await;
    rig.until(id, "running").await;
    assert_eq!(folded(&rig, id).await, stored(&rig.session(id).await));
    rig.engine.ask(id, Ask::Hibernate).await.expect("accepted");
    let command = controller.take().await;
    controller.fail(&command, false).await;
    rig.until(id, "failed").await;
    assert_eq!(folded(&rig, id).await, stored(&rig.session(id).await));
}
