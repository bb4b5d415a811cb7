//! Jobs, events and discarded dead letters through the API.

use std::time::Duration;

use anyhow::Result;
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{App, until};

async fn ended(app: &App, path: &str) -> Value {
    until("the job has ended", async || app.get(path).await.json["status"] != "running").await;
    app.get(path).await.json
}

#[tokio::test]
async fn a_job_leaves_out_what_came_after_the_list_that_it_is_about() -> Result<()> {
    let app = App::start().await?;
    let old = app.session(json!({ "template_id": "scratchpad" })).await.json;
    let listed = old["created_at"].clone();
    let bulk = |filter: Value| {
        let body = json!({ "action": "delete", "filter": filter, "dry_run": true });
        let app = &app;
        async move { app.post("/api/v1/sessions/bulk", "application/json", body.to_string()).await }
    };
    app.clock.advance(Duration::from_secs(1));
    app.session(json!({ "template_id": "scratchpad" })).await;
    let asked = bulk(json!({ "until": listed, "all": true })).await;
    let job = ended(&app, asked.header("location")).await;
    assert_eq!((&job["filter"]["until"], &job["total"]), (&listed, &json!(1)), "{job}");
    assert_eq!(job["outlook"]["items"][0]["id"], old["session_id"], "{job}");
    let everything = bulk(json!({ "until": "10m" })).await;
    assert_eq!((everything.status, everything.fields()), (422, vec!["filter"]), "{everything:?}");
    Ok(())
}

#[tokio::test]
async fn many_sessions_are_deleted_by_one_request_that_can_be_followed() -> Result<()> {
    let app = App::start().await?;
    for user in ["ada", "ada", "bob"] {
        app.session(json!({ "template_id": "scratchpad", "user_id": user })).await;
    }
    let bulk = |body: Value| app.post("/api/v1/sessions/bulk", "application/json", body.to_string());
    let dry = bulk(json!({ "action": "delete", "filter": { "user_id": "ada" }, "dry_run": true })).await;
    assert_eq!(dry.status, 202, "{dry:?}");
    let dry = ended(&app, dry.header("location")).await;
    assert_eq!((&dry["done"], &dry["dry_run"]), (&json!(2), &json!(true)));
    let asked = bulk(json!({ "action": "delete", "filter": { "user_id": "ada" } })).await;
    let job = ended(&app, asked.header("location")).await;
    let expected = json!({ "kind": "sessions.delete", "status": "completed", "total": 2, "done": 2, "failed": 0,
        "filter": { "user_id": "ada" }, "created_by": "admin", "failures": [] });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&job[name], value, "{name}");
    }
    let left = app.get("/api/v1/sessions").await.json;
    assert_eq!((left["items"].as_array().unwrap().len(), &left["items"][0]["user_id"]), (1, &json!("bob")));
    let listed = app.get("/api/v1/jobs?status=completed&kind=sessions.delete&limit=1").await.json;
    assert_eq!(listed["items"][0], job);
    let cancel = app.call(Method::POST, &format!("{}/cancel", asked.header("location"))).await;
    assert_eq!((cancel.status, cancel.problem()), (409, "conflict"));
    Ok(())
}

#[tokio::test]
async fn an_event_is_read_with_its_attempts_and_events_are_listed_newest_first() -> Result<()> {
    let app = App::start().await?;
    let id = app.session(json!({ "template_id": "scratchpad" })).await.json["session_id"].clone();
    let id = id.as_str().unwrap();
    let listed =
        app.get(&format!("/api/v1/events?entity=session:{id}&subject=streamspace.session.*&kind=command")).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    let event = listed.json["items"][0].clone();
    assert_eq!(event["subject"], "streamspace.session.create");
    let read = app.get(&format!("/api/v1/events/{}", event["event_id"].as_str().unwrap())).await.json;
    assert_eq!((&read["entity"], &read["attempts"], &read["reports"]), (&event["entity"], &json!([]), &json!([])));
    let since = app.get("/api/v1/events?since=2000-01-01T00:00:00Z&until=2000-01-02T00:00:00Z").await.json;
    assert_eq!(since["items"], json!([]));
    let page = app.get("/api/v1/events?limit=1").await.json;
    let next = app.get(&format!("/api/v1/events?limit=1&cursor={}", page["next_cursor"].as_str().unwrap())).await.json;
    assert!(page["items"][0]["id"].as_i64() > next["items"][0]["id"].as_i64());
    Ok(())
}

#[tokio::test]
async fn a_dead_letter_is_found_by_its_filters_discarded_with_a_reason_and_skipped_by_a_replay() -> Result<()> {
    let app = App::start().await?;
    let link = app.nats.link().await?;
    let subject = "streamspace.session.status.noop.noop-1";
    link.jetstream.publish(subject, b"no json".as_slice().into()).await?.await?;
    until("it is recorded", async || app.get("/api/v1/admin/dlq").await.json["items"] != json!([])).await;
    let letter = app.get("/api/v1/admin/dlq").await.json["items"][0].clone();
    let print = letter["fingerprint"].as_str().unwrap();
    for (query, count) in [
        ("reason=undecodable&platform=noop&controller_id=noop-1".to_owned(), 1),
        (format!("fingerprint={print}&subject=streamspace.session.%3E"), 1),
        ("subject=streamspace.session.*".to_owned(), 0),
        ("entity=session:x".to_owned(), 0),
        ("since=2000-01-01T00:00:00Z".to_owned(), 1),
        ("until=2000-01-01T00:00:00Z".to_owned(), 0),
        ("q=EXPECTED".to_owned(), 1),
        ("q=%25".to_owned(), 0),
        ("status=discarded".to_owned(), 0),
    ] {
        for path in ["/api/v1/admin/dlq", "/api/v1/admin/dlq/groups"] {
            let page = app.get(&format!("{path}?{query}")).await;
            assert_eq!(page.json["items"].as_array().map(Vec::len), Some(count), "{path}?{query}: {page:?}");
        }
    }
    let cause = app.get("/api/v1/admin/dlq/groups").await.json["items"][0].clone();
    assert_eq!((&cause["fingerprint"], &cause["latest_id"]), (&letter["fingerprint"], &letter["id"]));
    assert_eq!((&cause["subject"], &cause["open"]), (&json!("streamspace.session.status"), &json!(1)));
    for path in ["/api/v1/admin/dlq?q=", "/api/v1/admin/dlq/groups?q=%00"] {
        let refused = app.get(path).await;
        assert_eq!((refused.status, refused.problem()), (400, "invalid-parameter"), "{path}: {refused:?}");
    }
    for (more, field) in [(json!({ "canary": 0 }), "canary"), (json!({ "rate": 1001 }), "rate")] {
        let mut body = json!({ "filter": { "fingerprint": print } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = app.post("/api/v1/admin/dlq/replay", "application/json", body.to_string()).await;
        assert_eq!((refused.status, refused.fields()), (422, vec![field]), "{refused:?}");
    }
    let body = json!({ "filter": { "fingerprint": print }, "canary": 1, "rate": 50 }).to_string();
    let asked = app.post("/api/v1/admin/dlq/replay", "application/json", body).await;
    let job = ended(&app, asked.header("location")).await;
    assert_eq!(
        (&job["status"], &job["canary"]["stage"], &job["rate"]),
        (&json!("halted"), &json!("failed"), &json!(50))
    );
    assert_eq!(job["canary"]["tries"][0]["letter_id"], letter["id"], "{job}");
    assert!(job["reason"].as_str().is_some_and(|why| why.contains("undecodable")), "{job}");
    let resumed = app.call(Method::POST, &format!("{}/resume", asked.header("location"))).await;
    assert_eq!((resumed.status, &resumed.json["reason"]), (200, &Value::Null), "{resumed:?}");
    assert_eq!(ended(&app, asked.header("location")).await["status"], "completed");
    let late = app.call(Method::POST, &format!("{}/resume", asked.header("location"))).await;
    assert_eq!((late.status, late.problem()), (409, "conflict"));
    let letter = app.get("/api/v1/admin/dlq?status=open").await.json["items"][0].clone();
    let path = format!("/api/v1/admin/dlq/{}", letter["id"].as_str().unwrap());
    let tried = app.call(Method::POST, &format!("{path}/replay?dry_run=true")).await;
    assert_eq!((tried.status, &tried.json["status"]), (200, &json!("open")), "{tried:?}");
    assert_eq!(tried.json["outlook"]["outcome"], "message", "{tried:?}");
    let body = json!({ "filter": { "fingerprint": print }, "dry_run": true }).to_string();
    let asked = app.post("/api/v1/admin/dlq/replay", "application/json", body).await;
    let job = ended(&app, asked.header("location")).await;
    assert_eq!(job["outlook"]["counts"], json!([{ "outcome": "message", "count": 1 }]), "{job}");
    assert_eq!(job["outlook"]["items"][0]["id"], letter["id"], "{job}");
    let gone = app.call(Method::DELETE, &format!("{path}?reason=a%20mistake")).await;
    assert_eq!(
        (gone.status, &gone.json["status"], &gone.json["note"]),
        (200, &json!("discarded"), &json!("a mistake"))
    );
    assert_eq!(gone.json["settled_by"], "admin");
    let replay = json!({ "filter": { "fingerprint": print } }).to_string();
    let asked = app.post("/api/v1/admin/dlq/replay", "application/json", replay).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let job = ended(&app, asked.header("location")).await;
    assert_eq!((&job["kind"], &job["total"]), (&json!("dead_letters.replay"), &json!(0)), "only open ones");
    Ok(())
}

#[tokio::test]
async fn a_report_that_could_not_be_read_is_corrected_with_its_difference_shown() -> Result<()> {
    let app = App::start().await?;
    let link = app.nats.link().await?;
    let bad = json!({ "event_id": "01a20549-a5fb-7255-8fb3-65e3ff665b50", "status": "asleep" });
    let subject = "streamspace.session.status.noop.noop-1";
    link.jetstream.publish(subject, bad.to_string().into()).await?.await?;
    until("it is recorded", async || app.get("/api/v1/admin/dlq").await.json["items"] != json!([])).await;
    let listed = app.get("/api/v1/admin/dlq").await.json["items"][0].clone();
    let letter = app.get(&format!("/api/v1/admin/dlq/{}", listed["id"].as_str().unwrap())).await.json;
    let path = format!("/api/v1/admin/dlq/{}/edit", letter["id"].as_str().unwrap());
    let edit = |body: Value| app.post(&path, "application/json", body.to_string());
    let good = json!({ "event_id": bad["event_id"], "status": "running", "timestamp": "2026-01-01T00:00:00Z",
        "session_id": "01a20549-a5fb-7255-8fb3-65e3ff665b51" });
    for (body, field) in [
        (json!({ "payload": "x", "reason": "y" }), "payload"),
        (json!({ "payload": good, "reason": " " }), "reason"),
        (json!({ "payload": bad, "reason": "y" }), "payload.session_id"),
        (json!({ "payload": { "status": "asleep" }, "reason": "y" }), "payload.status"),
    ] {
        let refused = edit(body.clone()).await;
        assert_eq!((refused.status, refused.problem()), (422, "invalid-fields"), "{body}: {refused:?}");
        assert_eq!(refused.fields().len(), 1, "{refused:?}");
        assert!(refused.fields()[0].starts_with("payload") || field == "reason", "{body}: {refused:?}");
        assert!(refused.json["errors"][0]["hint"].is_string(), "{refused:?}");
    }
    let tried = edit(json!({ "payload": good, "reason": "it said asleep", "dry_run": true })).await;
    assert_eq!((tried.status, &tried.json["status"]), (200, &json!("open")), "{tried:?}");
    let done = edit(json!({ "payload": good, "reason": "it said asleep" })).await;
    assert_eq!((done.status, &done.json["status"]), (200, &json!("replayed")), "{done:?}");
    assert_eq!((&done.json["edit"]["diff"], &done.json["edit"]["by"]), (&tried.json["edit"]["diff"], &json!("admin")));
    assert!(done.json["edit"]["at"].is_string() && tried.json["edit"]["at"].is_null());
    assert_eq!(done.json["payload_base64"], letter["payload_base64"], "what came stays");
    let log = app.get(&format!("/api/v1/events?entity=dead_letter:{}", letter["id"].as_str().unwrap())).await.json;
    assert_eq!(log["items"][0]["payload"]["diff"], done.json["edit"]["diff"], "{log}");
    let late = edit(json!({ "payload": good, "reason": "again" })).await;
    assert_eq!((late.status, late.problem()), (409, "superseded"), "{late:?}");
    Ok(())
}
