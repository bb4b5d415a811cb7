//! Versions and conditions, amendments, waiting, and pages.

use std::time::{Duration, Instant};

use anyhow::Result;
use api::Api;
use migrations::testing::TestDatabase;
use poem::http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, App, TOKEN, config, request, until};

async fn created(app: &App) -> Answer {
    app.session(json!({ "template_id": "scratchpad", "tags": ["a"], "metadata": { "k": 1, "l": { "m": 2 } } })).await
}

async fn patch(app: &App, path: &str, if_match: Option<&str>, body: Value) -> Answer {
    let mut patch = request(Method::PATCH, path).content_type("application/merge-patch+json");
    if let Some(tag) = if_match {
        patch = patch.header("if-match", tag);
    }
    app.send(patch.body(body.to_string())).await
}

async fn conditional(app: &App, method: Method, path: &str, header: &str, tag: &str) -> Answer {
    app.send(request(method, path).header(header, tag).finish()).await
}

#[tokio::test]
async fn a_patch_merges_and_leaves_the_generation_alone() -> Result<()> {
    TestDatabase::each(async |database| {
        let app = App::on(database).await?;
        let first = created(&app).await;
        let path = first.header("location");
        let body = json!({ "tags": ["b", "c"], "metadata": { "k": null, "l": { "n": 3 } }, "idle_timeout": "30m" });
        let changed = patch(&app, path, Some(first.header("etag")), body.clone()).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(changed.json["metadata"], json!({ "l": { "m": 2, "n": 3 } }));
        assert_eq!((&changed.json["tags"], &changed.json["idle_timeout"]), (&json!(["b", "c"]), &json!("30m")));
        assert_eq!(changed.json["generation"], first.json["generation"]);
        assert!(changed.json["revision"].as_i64() > first.json["revision"].as_i64());
        let read = app.get(path).await;
        assert_eq!((&read.json, read.header("etag")), (&changed.json, changed.header("etag")));
        let same = patch(&app, path, None, body).await;
        assert_eq!((same.status, same.header("etag")), (200, changed.header("etag")), "what holds changes nothing");
        let emptied = patch(&app, path, None, json!({ "tags": null, "metadata": null, "idle_timeout": null })).await;
        let is = (&emptied.json["tags"], &emptied.json["metadata"], &emptied.json["idle_timeout"]);
        assert_eq!(is, (&json!([]), &json!({}), &Value::Null));
        app.folds(path).await
    })
    .await
}

#[tokio::test]
async fn every_mistake_of_a_patch_is_named_at_once() -> Result<()> {
    let app = App::start().await?;
    let path = created(&app).await.header("location").to_owned();
    let body = json!({ "colour": 1, "tags": ["", 5], "metadata": "x", "idle_timeout": "soon" });
    let refused = patch(&app, &path, None, body).await;
    assert_eq!((refused.status, refused.problem()), (422, "invalid-fields"));
    for field in ["colour", "tags[1]", "metadata", "idle_timeout"] {
        assert!(refused.fields().contains(&field), "{field}: {refused:?}");
    }
    let half = json!({ "metadata": { "one": "x".repeat(9000) } });
    assert_eq!(patch(&app, &path, None, half).await.status, 200);
    let grown = patch(&app, &path, None, json!({ "metadata": { "other": "x".repeat(9000) } })).await;
    assert_eq!((grown.status, grown.fields()), (422, vec!["metadata"]), "what it would become counts");
    app.call(Method::DELETE, &path).await;
    let late = patch(&app, &path, None, json!({ "tags": [] })).await;
    assert_eq!((late.status, late.problem(), &late.json["state"]), (409, "illegal-transition", &json!("deleted")));
    Ok(())
}

#[tokio::test]
async fn what_is_asked_on_condition_is_refused_once_somebody_else_was_faster() -> Result<()> {
    let app = App::start().await?;
    let first = created(&app).await;
    let (path, etag) = (first.header("location"), first.header("etag").to_owned());
    let expected = format!("\"{}.{}\"", first.json["generation"], first.json["revision"]);
    assert_eq!(etag, expected);
    let changed = patch(&app, path, Some(&etag), json!({ "tags": [] })).await;
    assert_eq!(changed.status, 200);
    let lost = patch(&app, path, Some(&etag), json!({ "tags": ["lost"] })).await;
    assert_eq!((lost.status, lost.problem()), (412, "precondition-failed"));
    assert_eq!(lost.header("etag"), changed.header("etag"));
    assert!(lost.json["detail"].as_str().unwrap().contains(changed.header("etag")), "{lost:?}");
    let wake = format!("{path}/wake");
    for (tag, status) in [(etag.as_str(), 412), ("\"1\"", 202), ("*", 202), ("\"9\"", 412), ("nonsense", 400)] {
        let answer = conditional(&app, Method::POST, &wake, "if-match", tag).await;
        assert_eq!(answer.status, status, "{tag}: {answer:?}");
    }
    assert_eq!(conditional(&app, Method::DELETE, path, "if-match", &etag).await.status, 412);
    let deleted = conditional(&app, Method::DELETE, path, "if-match", changed.header("etag")).await;
    assert_eq!((deleted.status, &deleted.json["status"]), (200, &json!("deleted")));
    let late = conditional(&app, Method::DELETE, path, "if-match", "\"1\"").await;
    assert_eq!(late.status, 412, "the generation has grown");
    Ok(())
}

#[tokio::test]
async fn a_session_that_is_known_already_is_304_until_something_happens() -> Result<()> {
    let app = App::start().await?;
    let first = created(&app).await;
    let path = first.header("location");
    let etag = app.get(path).await.header("etag").to_owned();
    let known = conditional(&app, Method::GET, path, "if-none-match", &format!("W/{etag}, \"9.9\"")).await;
    assert_eq!((known.status, known.header("etag"), known.text.as_str()), (304, etag.as_str(), ""));
    patch(&app, path, None, json!({ "tags": ["new"] })).await;
    assert_eq!(conditional(&app, Method::GET, path, "if-none-match", &etag).await.status, 200);
    Ok(())
}

#[tokio::test]
async fn waiting_ends_when_the_state_is_reached_cannot_be_or_the_time_is_over() -> Result<()> {
    let app = App::with(|config| config.max_waiting = 2).await?;
    let begun = Instant::now();
    let body = json!({ "template_id": "scratchpad" }).to_string();
    let over = app.post("/api/v1/sessions?wait=running&timeout=1s", "application/json", body.clone()).await;
    assert_eq!((over.status, &over.json["status"]), (202, &json!("pending")), "nobody runs it");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let path = over.header("location").to_owned();
    let wake = format!("{path}/wake?wait=running&timeout=5m");
    let (waited, deleted) = tokio::join!(app.call(Method::POST, &wake), app.call(Method::DELETE, &path));
    assert_eq!((deleted.status, &deleted.json["status"]), (200, &json!("deleted")));
    assert_eq!((waited.status, &waited.json["status"]), (202, &json!("deleted")), "it cannot be reached any more");
    for (query, field) in [
        ("wait=deleted", "wait"),
        ("timeout=3s", "timeout"),
        ("wait=running&timeout=6m", "timeout"),
        ("wait=running&timeout=0s", "timeout"),
    ] {
        let refused = app.post(&format!("/api/v1/sessions?{query}"), "application/json", body.clone()).await;
        assert_eq!((refused.status, refused.fields()), (400, vec![field]), "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_runs_is_answered_with_201_as_soon_as_it_does() -> Result<()> {
    let app = App::start().await?;
    let controller = app.controller().await?;
    let body = json!({ "template_id": "scratchpad", "platform": "noop" }).to_string();
    let create = app.post("/api/v1/sessions?wait=running&timeout=60s", "application/json", body);
    let (created, reported) = tokio::join!(create, controller.report_next("running"));
    reported?;
    assert_eq!((created.status, &created.json["status"]), (201, &json!("running")), "{created:?}");
    let path = created.header("location").to_owned();
    let asked = app.call(Method::POST, &format!("{path}/wake?wait=running")).await;
    assert_eq!(asked.status, 200, "what holds is answered at once");
    let hibernate = format!("{path}/hibernate?wait=hibernated&timeout=60s");
    let (asleep, reported) = tokio::join!(app.call(Method::POST, &hibernate), controller.report_next("hibernated"));
    reported?;
    assert_eq!((asleep.status, &asleep.json["status"]), (200, &json!("hibernated")), "{asleep:?}");
    app.folds(&path).await
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_place_back_and_too_many_are_told_to_come_again() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default(); // another test may have done it
    let app = App::start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (base, cancel) = (format!("http://{}", listener.local_addr()?), CancellationToken::new());
    let config = api::Config { max_waiting: 1, ..config() };
    let server = tokio::spawn(Api::new(config, app.engine.clone(), cancel.clone())?.serve(listener));
    let client = reqwest::Client::new();
    let create = |query: &str| {
        let post = client.post(format!("{base}/api/v1/sessions?{query}")).bearer_auth(TOKEN);
        post.json(&json!({ "template_id": "scratchpad" })).send()
    };
    let mut waiting = TcpStream::connect(base.trim_start_matches("http://")).await?;
    let body = "{\"template_id\":\"scratchpad\"}";
    let head = format!(
        "POST /api/v1/sessions?wait=running&timeout=5m HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    waiting.write_all(format!("{head}{body}").as_bytes()).await?;
    let full = async || create("wait=running&timeout=1s").await.map(|answer| answer.status().as_u16());
    until("the place is taken", async || matches!(full().await, Ok(503))).await;
    let refused = create("wait=running").await?;
    assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
    assert_eq!(create("").await?.status(), 202, "without waiting it is accepted");
    drop(waiting);
    until("the place is free again", async || matches!(full().await, Ok(202))).await;
    cancel.cancel();
    server.await?;
    Ok(())
}

async fn walk(app: &App, path: &str, write: impl AsyncFn(usize)) -> Vec<Value> {
    let (mut cursor, mut all, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = app.get(&format!("{path}{cursor}")).await;
        assert_eq!(page.status, 200, "{path}{cursor}: {page:?}");
        all.extend(page.json["items"].as_array().unwrap().clone());
        let Some(next) = page.json["next_cursor"].as_str() else { return all };
        cursor = format!("&cursor={next}");
        pages += 1;
        write(pages).await;
    }
}

#[tokio::test]
async fn pages_in_every_order_neither_skip_nor_repeat_under_writes_on_both_databases() -> Result<()> {
    TestDatabase::each(async |database| {
        let app = App::on(database).await?;
        let mut made = Vec::new();
        for i in 0..12 {
            let user = ["ada", "bob", "eve"][i % 3];
            made.push(app.session(json!({ "template_id": "scratchpad", "user_id": user, "tags": ["t"] })).await.json);
        }
        let ids =
            |rows: &[Value]| rows.iter().map(|row| row["session_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        for sort in ["created_at", "-created_at", "user_id", "-user_id"] {
            let mut expected = made.clone();
            let key = |row: &Value| {
                let user = if sort.contains("user") { row["user_id"].to_string() } else { String::new() };
                (user, row["created_at"].to_string(), row["session_id"].to_string())
            };
            expected.sort_by_key(key);
            if sort.starts_with('-') {
                expected.reverse();
            }
            let known = ids(&expected);
            let seen = walk(&app, &format!("/api/v1/sessions?sort={sort}&limit=5&status=all&tag=t"), async |page| {
                // a session that is behind in one order is ahead in the other; none of the existing ones moves
                app.session(json!({ "template_id": "scratchpad", "user_id": "carl", "tags": ["t", sort] })).await;
                let path = format!("/api/v1/sessions/{}", known[page]);
                app.call(Method::DELETE, &path).await;
                patch(&app, &path, None, json!({ "tags": ["t"] })).await;
            })
            .await;
            let old: Vec<String> = ids(&seen).into_iter().filter(|id| known.contains(id)).collect();
            assert_eq!(old, known, "{sort}");
            let all = ids(&seen);
            assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len(), "{sort} repeats");
            for row in &seen {
                if row["user_id"] == "carl" {
                    app.call(Method::DELETE, &format!("/api/v1/sessions/{}", row["session_id"].as_str().unwrap()))
                        .await;
                }
            }
        }
        let states = app.get("/api/v1/sessions?status=deleted,pending&limit=200").await.json;
        let all = app.get("/api/v1/sessions?status=all&limit=200").await.json;
        assert_eq!(states["items"], all["items"]);
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cursor_belongs_to_its_filters_and_order() -> Result<()> {
    let app = App::start().await?;
    for _ in 0..2 {
        created(&app).await;
    }
    let page = app.get("/api/v1/sessions?limit=1&tag=a").await;
    let cursor = page.json["next_cursor"].as_str().unwrap();
    assert_eq!(app.get(&format!("/api/v1/sessions?tag=a&limit=2&cursor={cursor}")).await.status, 200);
    for other in ["", "tag=b", "tag=a&sort=created_at", "tag=a&status=running", "tag=a&user_id=admin"] {
        let refused = app.get(&format!("/api/v1/sessions?{other}&cursor={cursor}")).await;
        assert_eq!((refused.status, refused.fields()), (400, vec!["cursor"]), "{other}");
    }
    for (query, field) in [("status=running,nope", "status"), ("sort=status", "sort"), ("status=", "status")] {
        let refused = app.get(&format!("/api/v1/sessions?{query}")).await;
        assert_eq!((refused.status, refused.fields()), (400, vec![field]), "{query}");
    }
    Ok(())
}
