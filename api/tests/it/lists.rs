//! Lists and their pages.

use std::collections::HashSet;

use anyhow::Result;
use engine::feed::{Filter, Told};
use serde_json::{Value, json};

use crate::app::{App, until};

/// The ids of all pages from here on.
async fn walk(app: &App, path: &str, first_cursor: &str) -> Vec<String> {
    let (mut cursor, mut all) = (first_cursor.to_owned(), Vec::new());
    loop {
        let page = app.get(&format!("{path}&cursor={cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        all.extend(ids(&page.json));
        let Some(next) = page.json["next_cursor"].as_str() else { return all };
        cursor = next.to_owned();
    }
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_while_others_write() -> Result<()> {
    let app = App::start().await?;
    let mut made = HashSet::new();
    for _ in 0..7 {
        made.insert(
            app.session(json!({ "template_id": "scratchpad" })).await.json["session_id"].as_str().unwrap().to_owned(),
        );
    }
    let first = app.get("/api/v1/sessions?limit=3").await;
    let mut seen = ids(&first.json);
    app.session(json!({ "template_id": "scratchpad" })).await;
    seen.extend(walk(&app, "/api/v1/sessions?limit=3", first.json["next_cursor"].as_str().unwrap()).await);
    assert_eq!(seen.len(), made.len());
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), made);
    Ok(())
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["session_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_is_read_back_to_its_first_page() -> Result<()> {
    let app = App::start().await?;
    for _ in 0..7 {
        app.session(json!({ "template_id": "scratchpad" })).await;
    }
    let read = async |cursor: &str| app.get(&format!("/api/v1/sessions?limit=3{cursor}")).await.json;
    let lead = |page: &Value, which: &str| page[which].as_str().map(|cursor| format!("&cursor={cursor}"));
    let (mut there, mut page) = (Vec::new(), read("").await);
    assert_eq!(page["prev_cursor"], Value::Null, "{page}");
    while let Some(next) = lead(&page, "next_cursor") {
        there.push(ids(&page));
        page = read(&next).await;
    }
    let mut back = Vec::new();
    while let Some(prev) = lead(&page, "prev_cursor") {
        page = read(&prev).await;
        back.push(ids(&page));
    }
    back.reverse();
    assert_eq!(back, there, "the pages before the last one");
    let backwards = lead(&page, "next_cursor").unwrap_or_default();
    let other = app.get(&format!("/api/v1/sessions?limit=3&user_id=ada{backwards}")).await;
    assert_eq!((other.status, other.fields()), (400, vec!["cursor"]), "{other:?}");
    Ok(())
}

#[tokio::test]
async fn the_feed_continues_a_list_from_the_position_it_was_read_at() -> Result<()> {
    let app = App::start().await?;
    app.session(json!({ "template_id": "scratchpad" })).await;
    let mut positions = Vec::new();
    for list in ["sessions", "applications", "templates", "controllers", "jobs", "admin/dlq"] {
        let page = app.get(&format!("/api/v1/{list}")).await.json;
        positions.push(page["position"].as_str().unwrap_or_else(|| panic!("{list}: {page}")).to_owned());
    }
    let later = app.session(json!({ "template_id": "scratchpad" })).await.json;
    let entity = format!("session:{}", later["session_id"].as_str().unwrap_or_default());
    for position in positions {
        let mut watcher = app.engine.feed().watch(Filter::default(), Some(position.parse()?)).await?;
        let Told::Item(first) = watcher.next().await else { panic!("cut at {position}") };
        assert_eq!(first.entity, entity, "what the list had already is not repeated here");
    }
    Ok(())
}

#[tokio::test]
async fn filters_narrow_a_list() -> Result<()> {
    let app = App::start().await?;
    app.session(json!({ "template_id": "scratchpad", "user_id": "ada", "tags": ["x", "y"] })).await;
    let beat = json!({ "controller_id": "noop-1", "platform": "noop", "timestamp": "2026-01-01T00:00:00Z",
        "status": "unhealthy", "protocol": 2 });
    let link = app.nats.link().await?;
    until("the platform is known", async || {
        let _ = link.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await;
        app.session(json!({ "template_id": "scratchpad", "platform": "noop" })).await.status == 202
    })
    .await;
    for (query, count) in [("user_id=ada", 1), ("platform=noop", 1), ("tag=y", 1), ("tag=z", 0), ("status=pending", 2)]
    {
        let page = app.get(&format!("/api/v1/sessions?{query}")).await;
        assert_eq!(page.json["items"].as_array().map(Vec::len), Some(count), "{query}: {page:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_controller_that_reports_is_listed_and_its_platform_accepts() -> Result<()> {
    let app = App::start().await?;
    let beat = json!({
        "controller_id": "noop-1", "platform": "noop", "timestamp": "2026-01-01T00:00:00Z", "status": "healthy",
        "capabilities": ["sessions"], "protocol": 2, "capacity": { "sessions_max": 10, "sessions": 3 },
    });
    let link = app.nats.link().await?;
    until("the controller is listed", async || {
        // core NATS stores nothing, so repeat it until it is received
        let _ = link.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await;
        app.get("/api/v1/controllers/noop-1").await.status == 200
    })
    .await;
    let controller = app.get("/api/v1/controllers/noop-1").await.json;
    assert_eq!((&controller["accepting"], &controller["lane"]), (&json!(true), &json!("durable")), "{controller}");
    let listed = app.get("/api/v1/controllers?platform=noop").await.json["items"].take();
    let still = |mut one: Value| {
        // a second heartbeat may have arrived in between
        one["last_heartbeat"].take();
        one["updated_at"].take();
        one
    };
    let listed: Vec<Value> = listed.as_array().unwrap().iter().cloned().map(still).collect();
    assert_eq!(listed, [still(controller)]);
    let platforms = app.get("/api/v1/platforms").await.json;
    let named = |name: &str| {
        platforms["items"].as_array().unwrap().iter().find(|one| one["platform"] == name).cloned().unwrap()
    };
    let noop = named("noop");
    assert_eq!((&noop["accepting"], &noop["capacity_free"], &noop["healthy"]), (&json!(true), &json!(7), &json!(1)));
    let local = named("local"); // the default, before any controller of it has announced itself
    assert_eq!((&local["accepting"], &local["controllers"]), (&json!(false), &json!(0)));
    assert!(local["reason"].as_str().unwrap().contains("start one"));
    let names: Vec<&Value> = platforms["items"].as_array().unwrap().iter().map(|one| &one["platform"]).collect();
    assert_eq!(names, ["local", "noop"], "what nobody has announced or named is no platform");
    Ok(())
}

#[tokio::test]
async fn a_dead_letter_shows_its_bytes_and_can_be_replayed_once() -> Result<()> {
    let app = App::start().await?;
    let link = app.nats.link().await?;
    let subject = "streamspace.session.status.noop.noop-1";
    link.jetstream.publish(subject, b"\xff not json".as_slice().into()).await?.await?;
    until("it is recorded", async || app.get("/api/v1/admin/dlq?status=open").await.json["items"] != json!([])).await;
    let listed = app.get("/api/v1/admin/dlq?status=open").await.json["items"][0].clone();
    assert_eq!(
        (&listed["payload_base64"], &listed["payload_bytes"]),
        (&Value::Null, &json!(10)),
        "a list has no bytes"
    );
    let path = format!("/api/v1/admin/dlq/{}", listed["id"].as_str().unwrap());
    let letter = app.get(&path).await.json;
    assert_eq!((&letter["subject"], &letter["payload"]), (&json!(subject), &Value::Null), "{letter}");
    assert_eq!(letter["payload_base64"], "/yBub3QganNvbg==");
    assert_eq!((&letter["id"], &letter["count"]), (&listed["id"], &json!(1)));
    let replayed = app.call(poem::http::Method::POST, &format!("{path}/replay")).await;
    assert_eq!((replayed.status, &replayed.json["status"]), (200, &json!("replayed")), "{replayed:?}");
    let again = app.call(poem::http::Method::POST, &format!("{path}/replay")).await;
    assert_eq!((again.status, again.problem()), (409, "superseded"));
    Ok(())
}
