//! Requests that exceed a limit or cannot be answered are refused, without any effect.

use anyhow::Result;
use serde_json::json;

use super::Desk;

#[tokio::test]
async fn a_full_desk_is_503_with_a_time_to_come_back() -> Result<()> {
    let desk = Desk::with(|config| config.max_intake = 0).await?;
    let reply = desk.ask("ada", "session.create", r#"{"template_id":"scratchpad"}"#).await?;
    assert_eq!((reply.status, reply.problem(), reply.header("Retry-After")), (503, "unavailable", "1"));
    assert_eq!(desk.app.get("/api/v1/sessions?status=all").await.json["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn the_rate_limit_is_the_same_and_each_users_own() -> Result<()> {
    let desk = Desk::with(|config| (config.requests_per_second, config.burst) = (1, 2)).await?;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(desk.ask("ada", "session.list", "").await?.status);
    }
    assert!(statuses.starts_with(&[200, 200]) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(desk.ask("eve", "session.list", "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_oversized_payload_is_413() -> Result<()> {
    let desk = Desk::with(|config| config.max_body_bytes = 1000).await?;
    let body = json!({ "template_id": "scratchpad", "metadata": { "k": "x".repeat(1000) } }).to_string();
    let reply = desk.ask("ada", "session.create", body).await?;
    assert_eq!((reply.status, reply.problem()), (413, "too-large"));
    Ok(())
}

#[tokio::test]
async fn without_a_reply_subject_nothing_is_done() -> Result<()> {
    let desk = Desk::open().await?;
    let subject = "streamspace.intake.ada.session.create";
    desk.client.publish(subject, r#"{"template_id":"scratchpad"}"#.into()).await?;
    // the next one is accepted after it
    assert_eq!(desk.ask("ada", "session.list", "").await?.json["items"], json!([]));
    assert_eq!(desk.app.get("/api/v1/sessions?status=all").await.json["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_refusal_names_its_request_as_the_log_does() -> Result<()> {
    let desk = Desk::open().await?;
    let reply = desk.ask("ada", "session.get", r#"{"session_id":"0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17"}"#).await?;
    assert_eq!(reply.json["instance"], format!("urn:uuid:{}", reply.header("X-Request-Id")), "{reply:?}");
    Ok(())
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_is_refused_and_metadata_that_cannot_be_kept_too() -> Result<()> {
    let desk = Desk::open().await?;
    let created = desk.ask("ada", "session.create", r#"{"template_id":"scratchpad"}"#).await?;
    assert_eq!(created.status, 202, "{created:?}");
    let named = json!({ "session_id": created.json["session_id"] }).to_string();
    let conditions: [&[(&str, &str)]; 5] = [
        &[("If-Match", "\"9.9é\"")],
        &[("If-Match", "\"1\""), ("If-Match", "*")],
        &[("If-Match", "*"), ("if-match", "\"1\"")],
        &[("If-None-Match", "*")],
        &[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    ];
    for condition in conditions {
        let mut headers = streams::async_nats::HeaderMap::new();
        condition.iter().for_each(|(name, value)| headers.append(*name, *value));
        let reply = desk.ask_with("ada", "session.delete", headers, named.clone()).await?;
        assert_eq!((reply.status, reply.problem()), (400, "invalid-parameter"), "{condition:?} {reply:?}");
    }
    for metadata in
        [r#"{"a":1,"a":2}"#, r#"{"a":18446744073709551616}"#, &format!("{}{}", "[".repeat(126), "]".repeat(126))]
    {
        let body = format!(r#"{{"template_id":"scratchpad","metadata":{{"m":{metadata}}}}}"#);
        let reply = desk.ask("ada", "session.create", body).await?;
        assert_eq!((reply.status, reply.problem()), (422, "invalid-fields"), "{reply:?}");
    }
    let listed = desk.ask("ada", "session.list", "").await?;
    assert_eq!(listed.json["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed.json["items"][0]["desired"], "running");
    Ok(())
}
