//! Logs and homes, which are requested from controllers.

use anyhow::{Context, Result};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::app::{App, until};

/// A controller that announces homes, and gives fixed answers.
pub(crate) async fn keeper(app: &App, answer: impl Fn(Value) -> Value + Send + 'static) -> Result<JoinHandle<()>> {
    let link = app.nats.link().await?;
    let mut questions = link.client.subscribe("streamspace.controller.ask.noop.noop-1").await?;
    link.client.flush().await?;
    let client = link.client.clone();
    let answering = tokio::spawn(async move {
        while let Some(message) = questions.next().await {
            let question = serde_json::from_slice(&message.payload).unwrap();
            let answer = answer(question).to_string();
            client.publish(message.reply.unwrap(), answer.into()).await.unwrap();
        }
        drop(link);
    });
    let beat = json!({
        "controller_id": "noop-1", "platform": "noop", "timestamp": "2026-01-01T00:00:00Z", "status": "healthy",
        "capabilities": ["sessions", "homes"], "protocol": 2, "world_id": Uuid::nil(),
        "capacity": { "sessions_max": 10, "sessions": 0 },
    });
    let client = app.nats.link().await?.client.clone();
    until("the controller says that it keeps homes", async || {
        let _ = client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await;
        app.get("/api/v1/controllers/noop-1").await.json["capabilities"] == json!(["sessions", "homes"])
    })
    .await;
    Ok(answering)
}

#[tokio::test]
async fn the_log_of_a_session_is_asked_of_its_controller() -> Result<()> {
    let app = App::start().await?;
    keeper(&app, |question| {
        assert_eq!((&question["ask"], &question["bytes"]), (&json!("log"), &json!(100)));
        json!({ "log": { "text": "hello\n", "kept_bytes": 6 } })
    })
    .await?;
    let session = app.session(json!({ "template_id": "scratchpad", "platform": "noop" })).await.json;
    let path = format!("/api/v1/sessions/{}/logs?bytes=100", session["session_id"].as_str().context("an id")?);
    let log = app.get(&path).await;
    assert_eq!((log.status, &log.json["text"], &log.json["controller_id"]), (200, &json!("hello\n"), &json!("noop-1")));
    let nothing = app.get(&format!("/api/v1/sessions/{}/logs", Uuid::now_v7())).await;
    assert_eq!((nothing.status, nothing.problem()), (404, "not-found"));
    let wrong = app.get(&format!("{path}000000")).await;
    assert_eq!((wrong.status, wrong.problem()), (400, "invalid-parameter"));
    app.engine.stop().await;
    Ok(())
}

#[tokio::test]
async fn homes_are_asked_of_those_who_keep_them_and_a_refusal_keeps_its_reason() -> Result<()> {
    let app = App::start().await?;
    keeper(&app, |question| match question["ask"].as_str() {
        Some("homes") => json!({ "homes": [{ "name": "abc", "user_id": "ann", "bytes": 5, "sessions": [] }] }),
        _ if question["name"] == "abc" => json!({}),
        _ => {
            let error =
                json!({ "code": "home_in_use", "message": "a session has it", "retryable": false, "user_error": true });
            json!({ "error": error })
        }
    })
    .await?;
    let homes = app.get("/api/v1/homes").await.json;
    assert_eq!(homes["silent"], json!([]), "{homes}");
    assert_eq!((&homes["items"][0]["name"], &homes["items"][0]["controller_id"]), (&json!("abc"), &json!("noop-1")));
    let delete = async |path: &str| app.call(poem::http::Method::DELETE, path).await;
    assert_eq!(delete("/api/v1/homes/noop-1/abc").await.status, 200);
    let used = delete("/api/v1/homes/noop-1/other").await;
    assert_eq!((used.status, used.problem()), (409, "in-use"), "{used:?}");
    assert!(used.json["detail"].as_str().is_some_and(|detail| detail.contains("a session has it")), "{used:?}");
    assert_eq!(delete("/api/v1/homes/nobody/abc").await.status, 404);
    app.engine.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_controller_in_the_core_lane_is_said_to_have_no_logs() -> Result<()> {
    let app = App::start().await?;
    let _plain = app.controller().await?;
    let session = app.session(json!({ "template_id": "scratchpad", "platform": "noop" })).await.json;
    let id = session["session_id"].as_str().context("an id")?;
    let none = app.get(&format!("/api/v1/sessions/{id}/logs")).await;
    assert_eq!((none.status, none.problem()), (404, "not-found"));
    let detail = none.json["detail"].as_str().context("a detail")?;
    assert!(detail.contains("noop-1") && detail.contains("core lane"), "{detail}");
    app.engine.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_controller_that_is_away_or_silent_is_named_within_a_bound() -> Result<()> {
    let app = App::start().await?;
    let answering = keeper(&app, |_| json!({ "homes": [] })).await?;
    let session = app.session(json!({ "template_id": "scratchpad", "platform": "noop" })).await.json;
    let path = format!("/api/v1/sessions/{}/logs", session["session_id"].as_str().context("an id")?);
    answering.abort();
    let _ = answering.await;
    until("nobody listens any more", async || {
        app.get(&path).await.json["detail"].as_str().is_some_and(|detail| detail.contains("not connected"))
    })
    .await;
    let away = app.get(&path).await;
    assert_eq!((away.status, away.problem()), (503, "unavailable"));
    assert!(away.json["detail"].as_str().is_some_and(|detail| detail.contains("noop-1")), "{away:?}");

    let link = app.nats.link().await?;
    let _silent = link.client.subscribe("streamspace.controller.ask.noop.noop-1").await?;
    link.client.flush().await?;
    let begun = std::time::Instant::now();
    let (late, homes) = tokio::join!(app.get(&path), app.get("/api/v1/homes"));
    assert_eq!((late.status, late.problem()), (503, "unavailable"));
    assert!(late.json["detail"].as_str().is_some_and(|detail| detail.contains("within 10 s")), "{late:?}");
    assert_eq!((homes.status, &homes.json["silent"]), (200, &json!(["noop-1"])));
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    app.engine.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_a_controller_answers_is_held_to_the_bounds() -> Result<()> {
    let app = App::start().await?;
    keeper(&app, |question| match question["ask"].as_str() {
        Some("log") => json!({ "log": { "text": format!("{}the end", "é".repeat(100_000)), "kept_bytes": 5 } }),
        Some("homes") => json!({ "homes": vec![json!({ "name": "h", "sessions": vec![Uuid::nil(); 120] }); 200] }),
        _ => json!({ "error": { "code": "odd", "message": "x".repeat(100_000), "retryable": false } }),
    })
    .await?;
    let session = app.session(json!({ "template_id": "scratchpad", "platform": "noop" })).await.json;
    let id = session["session_id"].as_str().context("an id")?;
    let log = app.get(&format!("/api/v1/sessions/{id}/logs?bytes=100")).await;
    let text = log.json["text"].as_str().context("a text")?;
    assert!(text.len() <= 300 && text.ends_with("the end"), "{}", text.len());
    let homes = app.get("/api/v1/homes").await.json;
    assert_eq!(homes["items"][0]["sessions"].as_array().map(Vec::len), Some(100));
    let odd = app.call(poem::http::Method::DELETE, "/api/v1/homes/noop-1/h").await;
    assert_eq!((odd.status, odd.problem()), (503, "unavailable"));
    assert!(odd.text.len() < 2_000, "{}", odd.text.len());
    let long = app.call(poem::http::Method::DELETE, &format!("/api/v1/homes/noop-1/{}", "h".repeat(256))).await;
    assert_eq!((long.status, long.problem()), (400, "invalid-parameter"));
    app.engine.stop().await;
    Ok(())
}
