//! Sessions through the API.

use anyhow::Result;
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn a_created_session_is_answered_with_202_and_can_be_read_where_location_says() -> Result<()> {
    let app = App::start().await?;
    let body =
        json!({ "template_id": "scratchpad", "idle_timeout": "1h30m", "tags": ["a"], "metadata": { "k": [1, null] } });
    let created = app.session(body).await;
    assert_eq!(created.status, 202, "{created:?}");
    let id = created.json["session_id"].as_str().unwrap();
    assert_eq!(created.header("location"), format!("/api/v1/sessions/{id}"));
    let read = app.get(created.header("location")).await;
    assert_eq!((read.status, &read.json), (200, &created.json));
    let expected = json!({
        "user_id": "admin", "template_id": "scratchpad", "platform": "local", "controller_id": null, "status": "pending",
        "desired": "running", "generation": 1, "idle_timeout": "1h30m", "max_duration": null, "persistent_home": false,
        "tags": ["a"], "metadata": { "k": [1, null] }, "resources": { "memory": "512Mi", "cpu": "250m" }, "url": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&read.json[name], value, "{name}");
    }
    assert!(read.json["reason"].as_str().unwrap().contains("no controller of platform local"));
    assert!(read.json["created_at"].as_str().unwrap().ends_with('Z'));
    Ok(())
}

#[tokio::test]
async fn a_session_without_an_owner_is_deleted_at_once_and_deleting_again_changes_nothing() -> Result<()> {
    let app = App::start().await?;
    let path = app.session(json!({ "template_id": "scratchpad" })).await.header("location").to_owned();
    let deleted = app.call(Method::DELETE, &path).await;
    assert_eq!((deleted.status, &deleted.json["status"]), (200, &json!("deleted")), "{deleted:?}");
    let again = app.call(Method::DELETE, &format!("{path}?force=true")).await;
    assert_eq!((again.status, &again.json), (200, &deleted.json));
    let all = |query: &'static str| app.get(query);
    assert_eq!(all("/api/v1/sessions").await.json["items"], json!([]));
    assert_eq!(all("/api/v1/sessions?status=all").await.json["items"].as_array().unwrap().len(), 1);
    Ok(())
}

#[tokio::test]
async fn what_the_state_does_not_permit_is_409_with_the_state_and_what_is_allowed() -> Result<()> {
    let app = App::start().await?;
    let path = app.session(json!({ "template_id": "scratchpad" })).await.header("location").to_owned();
    let refused = app.call(Method::POST, &format!("{path}/hibernate")).await;
    assert_eq!((refused.status, refused.problem()), (409, "illegal-transition"));
    assert_eq!(refused.json["state"], "pending");
    assert!(refused.json["allowed"].as_array().unwrap().contains(&json!("delete")), "{refused:?}");
    assert_eq!(app.call(Method::POST, &format!("{path}/wake")).await.status, 202);
    Ok(())
}

#[tokio::test]
async fn the_log_of_a_session_reads_in_order_in_pages() -> Result<()> {
    let app = App::start().await?;
    let path = app.session(json!({ "template_id": "scratchpad" })).await.header("location").to_owned();
    app.call(Method::DELETE, &path).await;
    let (mut cursor, mut seqs): (String, Vec<Value>) = (String::new(), Vec::new());
    loop {
        let page = app.get(&format!("{path}/events?limit=1{cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        seqs.extend(page.json["items"].as_array().unwrap().iter().map(|event| event["entity_seq"].clone()));
        let Some(next) = page.json["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<Value> = (1..=seqs.len()).map(|seq| json!(seq)).collect();
    assert!(seqs.len() >= 2 && seqs == expected, "{seqs:?}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_made_durable_is_503_and_never_202() -> Result<()> {
    let app = App::start().await?;
    let path = app.session(json!({ "template_id": "scratchpad" })).await.header("location").to_owned();
    app.engine.stop().await;
    let refused = app.session(json!({ "template_id": "scratchpad" })).await;
    assert_eq!((refused.status, refused.problem(), refused.header("retry-after")), (503, "unavailable", "1"));
    let refused = app.call(Method::DELETE, &path).await;
    assert_eq!((refused.status, refused.problem()), (503, "unavailable"));
    assert_eq!(app.get(&path).await.json["status"], "pending");
    Ok(())
}

#[tokio::test]
async fn only_what_runs_can_be_extended_and_by_a_duration() -> Result<()> {
    let app = App::start().await?;
    let session = app.session(json!({ "template_id": "scratchpad", "idle_timeout": "10m" })).await;
    assert_eq!(session.json["awake"], Value::Null, "{session:?}");
    let path = format!("{}/extend", session.header("location"));
    let refused = app.post(&path, "application/json", r#"{"by":"30m"}"#).await;
    assert_eq!((refused.status, refused.problem()), (409, "illegal-transition"));
    for body in [r#"{"by":"soon"}"#, r#"{"by":"-5m"}"#, r#"{}"#, r#"{"by":"0s"}"#] {
        let refused = app.post(&path, "application/json", body).await;
        assert_eq!((refused.status, refused.fields()), (422, vec!["by"]), "{body}: {refused:?}");
    }
    Ok(())
}
