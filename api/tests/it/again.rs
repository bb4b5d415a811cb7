//! Repeated requests: one effect and the same answer.

use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use migrations::testing::TestDatabase;
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, request, until};

const SESSIONS: &str = "/api/v1/sessions";

async fn keyed(app: &App, path: &str, key: &str, body: &str) -> Answer {
    let json = request(Method::POST, path).content_type("application/json").header("idempotency-key", key);
    app.send(json.body(body.to_owned())).await
}

async fn count(app: &App, path: &str) -> usize {
    app.get(path).await.json["items"].as_array().map_or(0, Vec::len)
}

fn scratchpad() -> String {
    json!({ "template_id": "scratchpad", "metadata": { "b": 1, "a": [null] } }).to_string()
}

async fn one_effect(app: &App) {
    let first = keyed(app, SESSIONS, "k-1", &scratchpad()).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, ""), "{first:?}");
    app.call(Method::DELETE, first.header("location")).await; // the world moves on; the answer does not
    let again = keyed(app, SESSIONS, "k-1", &scratchpad()).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, "true"), "{again:?}");
    assert_eq!((&again.text, again.header("location")), (&first.text, first.header("location")));
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(count(app, "/api/v1/sessions?status=all").await, 1);
    let other = keyed(app, SESSIONS, "k-1", "{\"template_id\":\"scratchpad\"}").await;
    assert_eq!((other.status, other.problem()), (422, "idempotency-key-reused"));
    let elsewhere = keyed(app, &format!("{}/wake", first.header("location")), "k-1", "").await;
    assert_eq!((elsewhere.status, elsewhere.problem()), (422, "idempotency-key-reused"));
    let body = scratchpad();
    let together = join_all((0..20).map(|_| keyed(app, SESSIONS, "k-2", &body))).await;
    assert!(together.iter().all(|one| one.status == 202 && one.text == together[0].text), "{together:?}");
    assert_eq!(together.iter().filter(|one| one.header("idempotent-replayed").is_empty()).count(), 1);
    assert_eq!(count(app, "/api/v1/sessions?status=all").await, 2);
}

#[tokio::test]
async fn the_same_key_and_request_have_one_effect_and_one_answer_and_another_request_is_refused() -> Result<()> {
    TestDatabase::each(async |database| {
        one_effect(&App::on(database).await?).await;
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn two_engines_that_get_one_key_at_once_have_one_effect() -> Result<()> {
    let database = TestDatabase::postgres().await?;
    let (one, other) = (App::on(&database).await?, App::on(&database).await?);
    for round in 0..10 {
        let key = format!("both-{round}");
        let body = scratchpad();
        let (a, b) = tokio::join!(keyed(&one, SESSIONS, &key, &body), keyed(&other, SESSIONS, &key, &body));
        assert_eq!((a.status, b.status, &a.text), (202, 202, &b.text), "{a:?} {b:?}");
        let replayed = [&a, &b].iter().filter(|one| one.header("idempotent-replayed") == "true").count();
        assert_eq!(replayed, 1, "{a:?} {b:?}");
        assert_eq!(count(&one, "/api/v1/sessions?status=all").await, round + 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day_and_never_kept_for_what_was_refused() -> Result<()> {
    let app = App::start().await?;
    let refused = keyed(&app, SESSIONS, "k", "{\"template_id\":\"nope\"}").await;
    assert_eq!(refused.status, 422);
    let first = keyed(&app, SESSIONS, "k", &scratchpad()).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, ""), "a refusal takes no key: {first:?}");
    let hibernate = format!("{}/hibernate", first.header("location"));
    assert_eq!(keyed(&app, &hibernate, "h", "").await.problem(), "illegal-transition");
    app.clock.advance(Duration::from_secs(23 * 3600));
    assert_eq!(keyed(&app, SESSIONS, "k", &scratchpad()).await.text, first.text);
    app.clock.advance(Duration::from_secs(2 * 3600));
    let anew = keyed(&app, SESSIONS, "k", "{\"template_id\":\"scratchpad\"}").await;
    assert_eq!((anew.status, anew.header("idempotent-replayed")), (202, ""), "{anew:?}");
    assert_ne!(anew.json["session_id"], first.json["session_id"]);
    app.clock.advance(Duration::from_secs(26 * 3600));
    keyed(&app, SESSIONS, "later", &scratchpad()).await;
    until("what is too old leaves the table", async || app.keys().await == ["later"]).await;
    Ok(())
}

#[tokio::test]
async fn a_key_is_checked_and_the_refusal_names_the_header() -> Result<()> {
    let app = App::start().await?;
    for wrong in ["", "a b", "caf\u{e9}", &"x".repeat(256)] {
        let refused = keyed(&app, SESSIONS, wrong, &scratchpad()).await;
        assert_eq!((refused.status, refused.fields()), (400, vec!["Idempotency-Key"]), "{wrong:?}");
    }
    assert_eq!(keyed(&app, SESSIONS, &"x".repeat(255), &scratchpad()).await.status, 202);
    Ok(())
}

#[tokio::test]
async fn a_catalog_that_is_sent_again_is_answered_as_it_was() -> Result<()> {
    let app = App::start().await?;
    let manifest = |name: &str, category: &str| {
        json!({ "apiVersion": "stream.space/v1alpha1", "kind": "Template", "metadata": { "name": name },
            "spec": { "displayName": name, "category": category } })
    };
    let put = async |key: &str, text: String| {
        let yaml = request(Method::POST, "/api/v1/templates").content_type("application/yaml");
        app.send(yaml.header("idempotency-key", key).body(text)).await
    };
    put("a", format!("{}\n---\n{}", manifest("krita", "Graphics"), manifest("gimp", "Graphics"))).await;
    let changed = format!("{}\n---\n{}", manifest("krita", "Office"), manifest("gimp", "Graphics"));
    let first = put("b", changed.clone()).await;
    assert!(first.text.contains("category changes") && first.text.contains("unchanged"), "{first:?}");
    app.call(Method::DELETE, "/api/v1/templates/krita").await;
    let again = put("b", changed).await;
    assert_eq!((again.status, &again.text, again.header("idempotent-replayed")), (200, &first.text, "true"));
    assert_eq!(app.get("/api/v1/templates/krita").await.status, 404, "it stays deleted");
    let delete = || request(Method::DELETE, "/api/v1/templates/gimp").header("idempotency-key", "d").finish();
    assert_eq!((app.send(delete()).await.status, app.send(delete()).await.status), (204, 204));
    Ok(())
}

#[tokio::test]
async fn a_dead_letter_that_is_replayed_again_is_replayed_once_and_answered_as_it_was() -> Result<()> {
    let app = App::start().await?;
    let link = app.nats.link().await?;
    let subject = "streamspace.session.status.noop.noop-1";
    link.jetstream.publish(subject, b"\xff not json".as_slice().into()).await?.await?;
    until("it is recorded", async || count(&app, "/api/v1/admin/dlq?status=open").await == 1).await;
    let letter = app.get("/api/v1/admin/dlq?status=open").await.json["items"][0].clone();
    let path = format!("/api/v1/admin/dlq/{}/replay", letter["id"].as_str().unwrap());
    let first = keyed(&app, &path, "r", "").await;
    assert_eq!((first.status, &first.json["status"]), (200, &Value::from("replayed")), "{first:?}");
    let again = keyed(&app, &path, "r", "").await;
    assert_eq!((again.status, &again.text, again.header("idempotent-replayed")), (200, &first.text, "true"));
    Ok(())
}
