//! A report that could not be read is mended in the open: what came stays, and what was changed, by whom and why, is kept.

use engine::edit::NewEdit;
use engine::fold::fold;
use engine::store::dead_letter;
use serde_json::{Value, json};
use streams::parking::EDITED_LETTER;
use uuid::Uuid;

use crate::rig::{Rig, eventually, lane};

fn edit(payload: &Value) -> NewEdit {
    NewEdit { payload: payload.clone(), reason: "it forgot its status".into(), by: "ops".into() }
}

async fn wrong(rig: &Rig, letter: Uuid, payload: &Value) -> String {
    rig.engine.edit_letter(letter, edit(payload)).await.expect_err("it cannot be read").to_string()
}

async fn letter(rig: &Rig, id: Uuid) -> dead_letter::Model {
    engine::queries::dead_letter(rig.engine.reader(), id).await.expect("readable").expect("a letter")
}

#[tokio::test]
async fn a_mended_report_is_applied_and_the_letter_keeps_what_came_and_what_was_changed() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let id = rig.create().await.session_id;
        let command = controller.take().await;
        let good = controller.status(&command, "running", json!({}));
        let mut bad = good.clone();
        bad.as_object_mut().expect("an object").remove("status");
        controller.publish(&lane(), bad.clone()).await;
        let parked = rig.dead_letter("undecodable").await;

        assert!(wrong(&rig, parked.id, &bad).await.contains("payload.status: is required"));
        let mut odd = good.clone();
        odd["error"] = json!({ "code": "x", "message": "y", "retryable": "maybe" });
        let why = wrong(&rig, parked.id, &odd).await;
        assert!(why.starts_with("payload.error.retryable: ") && why.contains("boolean"), "{why}");
        odd["error"] = json!(null);
        odd["message"] = json!("a\0b");
        assert!(wrong(&rig, parked.id, &odd).await.contains("NUL"));

        let diff = json!([{ "op": "add", "path": "/status", "value": "running" }]);
        let tried = rig.engine.edit_outlook(parked.id, edit(&good)).await.expect("it could be");
        assert_eq!(tried.edit.map(|edit| edit["diff"].clone()), Some(diff.clone()));
        assert_eq!(letter(&rig, parked.id).await, parked, "nothing came of trying");

        let mended = rig.engine.edit_letter(parked.id, edit(&good)).await.expect("mended");
        rig.until(id, "running").await;
        let kept = letter(&rig, parked.id).await;
        assert_eq!(kept, mended);
        assert_eq!((kept.status.as_str(), &kept.payload), ("replayed", &parked.payload), "the bytes that came");
        let shown = kept.edit.clone().expect("an edit");
        assert_eq!((&shown["diff"], &shown["by"]), (&diff, &json!("ops")));
        let entity = format!("dead_letter:{}", kept.id);
        let log = engine::queries::events(rig.engine.reader(), &entity, 0, 10).await.expect("readable");
        let [row] = &log[..] else { panic!("{log:?}") };
        assert_eq!(row.subject, "streamspace.decision.dead_letter_edited");
        assert_eq!((&row.payload["diff"], &row.payload["by"]), (&diff, &json!("ops")));
        assert_eq!(row.payload["reason"], "it forgot its status");
        let folded = fold(rig.engine.reader(), &entity).await.expect("no gaps");
        assert_eq!((&folded["edit"], &folded["status"]), (&shown, &json!("replayed")));
        let late = rig.engine.edit_letter(kept.id, edit(&good)).await.expect_err("once").to_string();
        assert!(late.contains("replayed already"), "{late}");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn what_was_no_json_is_replaced_whole_and_fails_again_as_a_letter_that_names_the_first() {
    let rig = Rig::sqlite().await;
    let controller = rig.controller().await;
    rig.client.publish(lane(), "\u{1}no json".into()).await.expect("published");
    let parked = rig.dead_letter("undecodable").await;
    let outlook = rig.engine.replay_outlook(parked.id).await.expect("it could go back").1;
    assert!(outlook.text.contains("it would be parked again: payload expected value"), "{}", outlook.text);

    let stranger = json!({ "session_id": Uuid::now_v7(), "event_id": Uuid::now_v7(), "generation": 1, "attempt": 1 });
    let report = controller.status(&stranger, "running", json!({}));
    let mended = rig.engine.edit_letter(parked.id, edit(&report)).await.expect("mended");
    let diff = mended.edit.map(|edit| edit["diff"].clone()).unwrap_or_default();
    assert_eq!(diff, json!([{ "op": "replace", "path": "", "value": report }]));
    let again = rig.dead_letter("unknown").await;
    let named = again.headers.as_array().into_iter().flatten().any(|pair| *pair == json!([EDITED_LETTER, parked.id]));
    assert!(named, "{:?}", again.headers);
    let refused = rig.engine.edit_letter(again.id, edit(&report)).await.expect_err("it was read").to_string();
    assert!(refused.contains("could be read"), "{refused}");
    rig.engine.stop().await;
}

#[tokio::test]
async fn a_template_in_a_report_is_looked_at_too() {
    let rig = Rig::sqlite().await;
    let subject = "streamspace.template.create";
    rig.client.publish(subject, "{}".into()).await.expect("published");
    let parked = rig.dead_letter("undecodable").await;
    let manifest =
        "{apiVersion: stream.space/v1alpha1, kind: Template, metadata: {name: paint}, spec: {displayName: P}}";
    let mut report = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "platform": "noop",
        "template_name": "draw", "display_name": "P", "category": "", "base_image": "", "manifest": manifest });
    let why = wrong(&rig, parked.id, &report).await;
    assert!(why.starts_with("payload.manifest: ") && why.contains("draw"), "{why}");
    report["template_name"] = json!("paint");
    rig.engine.edit_letter(parked.id, edit(&report)).await.expect("mended");
    let there = || async { engine::queries::template(rig.engine.reader(), "paint").await.ok().flatten() };
    eventually("the template", there).await;
    rig.engine.stop().await;
}
