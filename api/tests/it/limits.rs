//! Limits of HTTP input: everything at its limit is accepted, nothing beyond, and no unknown condition.

use anyhow::Result;
use migrations::testing::TestDatabase;
use poem::http::{HeaderValue, Method};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use streams::limits;

use crate::app::{Answer, App, request};

const SESSIONS: &str = "/api/v1/sessions";
const JSON: &str = "application/json";

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

fn asking(metadata: &str) -> String {
    format!("{{\"template_id\":\"scratchpad\",\"metadata\":{metadata}}}")
}

async fn keyed(app: &App, key: &str, body: &str) -> Answer {
    let post = request(Method::POST, SESSIONS).content_type(JSON).header("idempotency-key", key);
    app.send(post.body(body.to_owned())).await
}

#[tokio::test]
async fn metadata_is_kept_exactly_or_refused_by_the_path_of_what_could_not_be() -> Result<()> {
    TestDatabase::each(async |database| {
        let app = App::on(database).await?;
        let kept = json!({ "deep": nested(limits::DEPTH - 1), "n": [u64::MAX, i64::MIN, 0.5], "é": "\u{1}" });
        let created = app.session(json!({ "template_id": "scratchpad", "metadata": kept })).await;
        assert_eq!((created.status, &created.json["metadata"]), (202, &kept), "{created:?}");
        assert_eq!(app.get(created.header("location")).await.json["metadata"], kept);
        for (metadata, field) in [
            (json!({ "x": nested(limits::DEPTH) }).to_string(), "metadata.x.a"),
            (nested(126).to_string(), "metadata.a"),
            ("{\"a\":{\"b\":1,\"b\":2}}".into(), "metadata.a.b"),
            ("{\"a\":[18446744073709551616]}".into(), "metadata.a[0]"),
            ("{\"a\":-9223372036854775809}".into(), "metadata.a"),
            ("{\"a\":1e999}".into(), "metadata.a"),
            ("{\"a\":\"\\u0000\"}".into(), "metadata.a"),
            (json!({ "a": "x".repeat(limits::FREE_JSON) }).to_string(), "metadata"),
        ] {
            for (method, path) in [(Method::POST, SESSIONS), (Method::PATCH, created.header("location"))] {
                let body =
                    if method == Method::POST { asking(&metadata) } else { format!("{{\"metadata\":{metadata}}}") };
                let answer = app.send(request(method, path).content_type(JSON).body(body)).await;
                assert_eq!((answer.status, answer.problem()), (422, "invalid-fields"), "{metadata} {answer:?}");
                assert!(answer.fields().iter().any(|named| named.starts_with(field)), "{field}: {answer:?}");
            }
        }
        anyhow::Ok(())
    })
    .await
}

async fn execute(test: &TestDatabase, sql: &str, values: Vec<sea_orm::Value>) -> Result<()> {
    test.database.writer.execute_raw(Statement::from_sql_and_values(test.backend(), sql, values)).await?;
    Ok(())
}

/// Changes a stored value to what a version without limits would have stored.
async fn deepen(test: &TestDatabase, table: &str, column: &str, deep: &Value) -> Result<()> {
    let postgres = test.backend() == sea_orm::DbBackend::Postgres;
    let (text, mark) = if postgres { (format!("{column}::text"), "$1::jsonb") } else { (column.to_owned(), "?") };
    let read =
        Statement::from_string(test.backend(), format!("SELECT {text} AS it FROM {table} WHERE {column} IS NOT NULL"));
    for row in test.database.reader.query_all_raw(read).await? {
        let before: String = row.try_get("", "it")?;
        let mut tree: Value = serde_json::from_str(&before)?;
        put(&mut tree, deep);
        let (at, second) = if postgres { (format!("{column}::text"), "$2") } else { (column.to_owned(), "?") };
        let sql = format!("UPDATE {table} SET {column} = {mark} WHERE {at} = {second}");
        execute(test, &sql, vec![tree.to_string().into(), before.into()]).await?;
    }
    Ok(())
}

/// Replaces everything named metadata.
fn put(tree: &mut Value, deep: &Value) {
    match tree {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| match name.as_str() {
            "metadata" => *value = deep.clone(),
            "manifest" => {} // has metadata of its own
            _ => put(value, deep),
        }),
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, deep)),
        _ => {}
    }
}

#[tokio::test]
async fn what_an_older_version_accepted_is_answered_again_and_listed() -> Result<()> {
    TestDatabase::each(async |database| {
        let app = App::on(database).await?;
        let body = asking("{}");
        let first = keyed(&app, "k", &body).await;
        assert_eq!(first.status, 202, "{first:?}");
        let deep = nested(126);
        deepen(database, "idempotency_keys", "answer", &deep).await?;
        deepen(database, "event_log", "payload", &deep).await?;
        deepen(database, "event_log", "changes", &deep).await?;
        let column = if database.backend() == sea_orm::DbBackend::Postgres { "$1::jsonb" } else { "?" };
        execute(database, &format!("UPDATE sessions SET metadata = {column}"), vec![deep.to_string().into()]).await?;
        let again = keyed(&app, "k", &body).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (202, "true"), "{again:?}");
        let told = limits::json::stored::<Value>(again.text.as_bytes())?;
        assert_eq!((&told["metadata"], &told["session_id"]), (&deep, &first.json["session_id"]));
        let (session, events) = (first.header("location"), format!("{}/events", first.header("location")));
        for path in [session, SESSIONS, "/api/v1/events", &events] {
            let answer = app.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            limits::json::stored::<Value>(answer.text.as_bytes())?;
        }
        let mended = app.send(request(Method::PATCH, session).content_type(JSON).body("{\"metadata\":null}")).await;
        assert_eq!((mended.status, &mended.json["metadata"]), (200, &json!({})), "{mended:?}");
        Ok(())
    })
    .await
}

async fn headed(app: &App, method: Method, path: &str, headers: &[(&str, &[u8])]) -> Answer {
    let mut asked = request(method, path).finish();
    for (name, value) in headers {
        let name: poem::http::HeaderName = name.parse().expect("a name");
        asked.headers_mut().append(name, HeaderValue::from_bytes(value).expect("bytes"));
    }
    app.send(asked).await
}

#[tokio::test]
async fn a_header_that_means_something_is_understood_or_refused() -> Result<()> {
    let app = App::start().await?;
    let created = app.session(json!({ "template_id": "scratchpad" })).await;
    let path = created.header("location").to_owned();
    type Headers<'a> = &'a [(&'a str, &'a [u8])];
    let wrong: &[(Method, &str, Headers<'_>)] = &[
        (Method::DELETE, "If-Match", &[("if-match", "\"9.9é\"".as_bytes())]),
        (Method::DELETE, "If-Match", &[("if-match", b"\"9.9\xff\"")]),
        (Method::DELETE, "If-Match", &[("if-match", b"\"1\""), ("if-match", "\"9.9é\"".as_bytes())]),
        (Method::DELETE, "If-Match", &[("if-match", b"*"), ("if-match", b"\"1\"")]),
        (Method::DELETE, "If-Match", &[("if-match", b"")]),
        (Method::DELETE, "If-Match", &[("if-match", b"W/\"1.1\"")]),
        (Method::DELETE, "If-Match", &[("if-match", b"1.1")]),
        (Method::DELETE, "If-Match", &[("if-match", b"\"99999999999999999999\"")]),
        (Method::DELETE, "If-None-Match", &[("if-none-match", b"\"1.1\"")]),
        (Method::DELETE, "If-Unmodified-Since", &[("if-unmodified-since", b"Thu, 01 Jan 2026 00:00:00 GMT")]),
        (Method::DELETE, "Idempotency-Key", &[("idempotency-key", "ké".as_bytes())]),
        (Method::DELETE, "Idempotency-Key", &[("idempotency-key", b"a"), ("idempotency-key", b"a")]),
        (Method::DELETE, "Authorization", &[("authorization", b"Bearer other")]),
        (Method::GET, "If-None-Match", &[("if-none-match", "\"é\"".as_bytes())]),
        (Method::GET, "If-None-Match", &[("if-none-match", b"unquoted")]),
        (Method::GET, "If-Match", &[("if-match", b"\"1\"")]),
    ];
    for (method, field, headers) in wrong {
        let answer = headed(&app, method.clone(), &path, headers).await;
        assert_eq!((answer.status, answer.problem()), (400, "invalid-parameter"), "{headers:?} {answer:?}");
        assert_eq!(answer.fields(), [*field], "{headers:?}");
    }
    let watch = headed(&app, Method::GET, "/api/v1/stream", &[("last-event-id", "é".as_bytes())]).await;
    assert_eq!((watch.status, watch.fields()), (400, vec!["Last-Event-ID"]));
    let long = vec![b'"'; limits::HEADER + 1];
    assert_eq!(headed(&app, Method::DELETE, &path, &[("if-match", &long)]).await.status, 400);
    let template = headed(&app, Method::DELETE, "/api/v1/templates/scratchpad", &[("if-match", b"\"1\"")]).await;
    assert_eq!((template.status, template.fields()), (400, vec!["If-Match"]));
    assert_eq!(app.get("/api/v1/templates/scratchpad").await.status, 200);
    assert_eq!(app.get(&path).await.json["desired"], "running", "nothing was done of all this");
    let etag = app.get(&path).await.header("etag").to_owned();
    let lists: Headers<'_> = &[("if-none-match", b"\"a,b\", W/\"x\""), ("if-none-match", etag.as_bytes())];
    assert_eq!(headed(&app, Method::GET, &path, lists).await.status, 304);
    // an invalid trace starts anew
    assert_eq!(headed(&app, Method::GET, &path, &[("traceparent", "é".as_bytes())]).await.status, 200);
    let either: Headers<'_> = &[("if-match", b"\"8\""), ("if-match", etag.as_bytes())];
    assert!(headed(&app, Method::DELETE, &path, either).await.status < 300);
    Ok(())
}

#[tokio::test]
async fn whoever_can_have_a_session_can_be_watched_and_listed() -> Result<()> {
    let app = App::start().await?;
    for user in ["é".repeat(200), "𝒜".repeat(limits::NAME)] {
        let created = app.session(json!({ "template_id": "scratchpad", "user_id": user })).await;
        assert_eq!(created.status, 202, "{created:?}");
        let encoded: String = user.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(app.watch(&format!("/api/v1/stream?user_id={encoded}")).await.status().as_u16(), 200);
        let listed = app.get(&format!("{SESSIONS}?user_id={encoded}")).await;
        assert_eq!(listed.json["items"].as_array().map(Vec::len), Some(1), "{listed:?}");
        let bulk = json!({ "action": "delete", "filter": { "user_id": user }, "dry_run": true });
        assert!(app.post("/api/v1/sessions/bulk", JSON, bulk.to_string()).await.status < 300);
    }
    let beyond = "%C3%A9".repeat(limits::NAME + 1);
    assert_eq!(app.watch(&format!("/api/v1/stream?user_id={beyond}")).await.status().as_u16(), 400);
    let created = app.session(json!({ "template_id": "scratchpad", "user_id": "é".repeat(limits::NAME + 1) })).await;
    assert_eq!((created.status, created.fields()), (422, vec!["user_id"]));
    Ok(())
}

/// Every operation of the document: method, path with its placeholders filled, its query parameters, and its
/// body's schema.
fn operations(document: &Value, filling: &str) -> Vec<(Method, String, Vec<String>, Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        let filled: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('{') { filling } else { part }).collect();
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|p| p["in"] == "query").filter_map(|p| p["name"].as_str().map(str::to_owned));
            let schema = operation["requestBody"]["content"][JSON]["schema"].clone();
            found.push((method, filled.join("/"), query.collect(), schema));
        }
    }
    found
}

/// The string fields of a body's schema.
fn texts(document: &Value, schema: &Value) -> Vec<String> {
    let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
    let fields = document["components"]["schemas"][name]["properties"].as_object();
    fields.into_iter().flatten().filter(|(_, field)| field["type"] == "string").map(|(name, _)| name.clone()).collect()
}

/// Prefix of the document's paths.
fn base(document: &Value) -> &str {
    document["servers"][0]["url"].as_str().unwrap_or_default().trim_end_matches('/')
}

#[tokio::test]
async fn no_text_in_a_path_a_query_or_a_body_of_any_operation_is_too_long_or_odd_to_be_answered() -> Result<()> {
    TestDatabase::each(async |database| {
        let app = App::on(database).await?;
        let document = app.get("/openapi.json").await.json;
        let (at, beyond) = ("a".repeat(limits::PARAMETER), "a".repeat(limits::PARAMETER + 1));
        let mut tried = 0;
        for (method, path, query, schema) in operations(&document, "%F0%9D%92%9C%27%25") {
            let path = if path.starts_with("/api/") { path } else { format!("{}{path}", base(&document)) };
            for name in &query {
                for (value, refused) in
                    [(&*at, false), (&*beyond, true), ("%00", true), ("%FF", true), ("%27%3B--", false)]
                {
                    let answer = app.watch_any(method.clone(), &format!("{path}?{name}={value}")).await;
                    assert!(answer < 500 && (!refused || answer == 400), "{method} {path}?{name}: {answer}");
                    tried += 1;
                }
            }
            for name in texts(&document, &schema) {
                for value in ["é".repeat(100_000), "a\u{0}b".into(), String::new()] {
                    let body = json!({ name.as_str(): &value }).to_string();
                    let answer = app.send(request(method.clone(), &path).content_type(JSON).body(body)).await;
                    let expected = if value.is_empty() { 200..500 } else { 400..500 };
                    assert!(expected.contains(&answer.status), "{method} {path} {name}: {answer:?}");
                    assert!(
                        answer.text.len() < 10_000,
                        "{method} {path} {name}: what was wrong is not said back whole"
                    );
                    tried += 1;
                }
            }
        }
        assert!(tried > 300, "{tried}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn a_path_may_be_so_long_and_no_longer() -> Result<()> {
    let app = App::start().await?;
    let path = |characters: usize| format!("/api/v1/controllers/{}", "c".repeat(characters));
    assert_eq!(app.get(&path(limits::PARAMETER)).await.status, 404);
    let answer = app.get(&path(7_000)).await;
    assert_eq!((answer.status, answer.fields()), (400, vec!["path"]));
    Ok(())
}

#[tokio::test]
async fn a_forged_cursor_cannot_bring_what_the_database_does_not_take() -> Result<()> {
    use base64::Engine as _;
    TestDatabase::each(async |database| {
        let app = App::on(database).await?;
        for list in ["templates", "controllers", "sessions", "jobs", "applications"] {
            let of = "A".repeat(12);
            for after in [json!("a\u{0}"), json!([1, "a\u{0}"]), json!(["a\u{0}", 1, "b"])] {
                let text = json!({ "list": list, "of": of, "after": after }).to_string();
                let cursor = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
                assert_eq!(app.get(&format!("/api/v1/{list}?cursor={cursor}")).await.status, 400, "{list}");
            }
        }
        anyhow::Ok(())
    })
    .await
}
