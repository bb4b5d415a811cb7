//! I5: folding the log gives the rows.

use engine::store::session;
use engine::writer::Ask;
use machine::session::SOFT;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::rig::Rig;

async fn folded(rig: &Rig, id: Uuid) -> Map<String, Value> {
    let mut facts = Map::new();
    for (i, row) in rig.log(id).await.into_iter().enumerate() {
        assert_eq!(row.entity_seq, i as i64 + 1, "the fold order has no gaps");
        for (name, value) in row.changes.as_ref().and_then(Value::as_object).into_iter().flatten() {
            facts.insert(name.clone(), value.clone());
        }
    }
    facts
}

fn stored(row: &session::Model) -> Map<String, Value> {
    let facts = serde_json::to_value(row.facts().expect("readable")).expect("JSON");
    let Value::Object(mut facts) = facts else { panic!("an object") };
    facts.retain(|name, _| !SOFT.contains(&name.as_str()));
    facts
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
