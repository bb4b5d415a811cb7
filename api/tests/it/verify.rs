//! Verification by an operator: verify, time travel, and rebuilt streams.

use anyhow::Result;
use serde_json::{Value, json};

use crate::app::{App, until};

const JSON: &str = "application/json";

async fn verified(app: &App, body: Value) -> Value {
    let asked = app.post("/api/v1/admin/verify", JSON, body.to_string()).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let path = asked.header("location").to_owned();
    until("the job has ended", async || app.get(&path).await.json["status"] != "running").await;
    app.get(&path).await.json
}

#[tokio::test]
async fn a_verification_is_a_job_that_says_what_it_saw() -> Result<()> {
    let app = App::start().await?;
    app.session(json!({ "template_id": "scratchpad" })).await;
    let job = verified(&app, json!({})).await;
    let expected = json!({ "kind": "log.verify", "failed": 0, "failures": [], "filter": { "repair": false } });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&job[name], value, "{name}");
    }
    assert_eq!((&job["scan"]["found"], &job["scan"]["findings"]), (&json!(0), &json!([])));
    assert!(job["scan"]["events"].as_i64() > Some(1) && job["scan"]["events"] == job["done"], "{job}");
    let listed = app.get("/api/v1/jobs?kind=log.verify").await.json;
    assert_eq!(listed["items"], json!([job]));
    assert_eq!(verified(&app, json!({ "repair": true })).await["scan"]["repaired"], 0);
    let wrong = app.post("/api/v1/admin/verify", JSON, json!({ "repair": "all" }).to_string()).await;
    assert!([400, 422].contains(&wrong.status), "{wrong:?}");
    Ok(())
}

#[tokio::test]
async fn a_session_is_read_as_it_was() -> Result<()> {
    let app = App::start().await?;
    let created = app.session(json!({ "template_id": "scratchpad" })).await.json;
    let path = format!("/api/v1/sessions/{}", created["session_id"].as_str().unwrap());
    let at = |time: &Value| format!("{path}?at={}", time.as_str().unwrap());
    let then = app.get(&at(&created["created_at"])).await;
    assert_eq!(then.status, 200, "{then:?}");
    for name in ["status", "user_id", "revision", "tags", "created_at"] {
        assert_eq!(then.json[name], created[name], "{name}");
    }
    let early = app.get(&format!("{path}?at=2000-01-01T00:00:00Z")).await;
    assert_eq!((early.status, early.problem()), (404, "not-found"), "{early:?}");
    assert!(early.json["detail"].as_str().unwrap().contains("did not exist yet"), "{early:?}");
    let ahead = app.get(&format!("{path}?at=2999-01-01T00:00:00Z")).await;
    assert_eq!(ahead.status, 200, "a clock that is ahead is told what there is: {ahead:?}");
    let answer = app.get(&format!("{path}?at=yesterday")).await;
    assert_eq!((answer.status, answer.problem()), (400, "invalid-parameter"), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn the_streams_are_made_anew_with_a_reason_and_the_log_tells() -> Result<()> {
    let app = App::start().await?;
    let order = |reason: &str| app.post("/api/v1/admin/streams/rebuild", JSON, json!({ "reason": reason }).to_string());
    let empty = order(" ").await;
    assert_eq!((empty.status, empty.problem()), (422, "invalid-fields"), "{empty:?}");
    let first = order("the store is damaged").await;
    assert_eq!((first.status, &first.json["commands"]), (200, &json!(0)), "{first:?}");
    let second = order("once more").await.json;
    assert!(second["epoch"].as_i64() > first.json["epoch"].as_i64(), "{second}");
    let log = app.get("/api/v1/events?entity=jetstream").await.json;
    let said: Vec<_> = log["items"].as_array().unwrap().iter().map(|row| &row["payload"]["reason"]).collect();
    assert_eq!(said, [&json!("once more"), &json!("the store is damaged")]);
    Ok(())
}
