//! Refusals of invalid input, and what they name.

use anyhow::Result;
use poem::Request;
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{App, request};

/// Method, path, content type, body; then status, type of the problem, and a field that it names.
type Case = (&'static str, &'static str, &'static str, &'static str, u16, &'static str, &'static str);

const JSON: &str = "application/json";
const SESSIONS: &str = "/api/v1/sessions";
const BULK: &str = "/api/v1/sessions/bulk";
const REPLAY: &str = "/api/v1/admin/dlq/replay";
const LETTER: &str = "/api/v1/admin/dlq/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17";
const UUID: &str = "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17";

const CASES: &[Case] = &[
    ("POST", BULK, JSON, r#"{"action":"delete","filter":{}}"#, 422, "invalid-fields", "filter"),
    ("POST", BULK, JSON, r#"{"action":"delete","filter":{"all":false}}"#, 422, "invalid-fields", "filter"),
    ("POST", BULK, JSON, r#"{"action":"eat","filter":{"all":true}}"#, 422, "invalid-fields", "action"),
    ("POST", BULK, JSON, r#"{"filter":{"all":true}}"#, 422, "invalid-fields", "action"),
    ("POST", BULK, JSON, r#"{"action":"wake","filter":{"status":"odd"}}"#, 422, "invalid-fields", "filter.status"),
    ("POST", BULK, JSON, r#"{"action":"wake","filter":{"tag":"\u0000"}}"#, 422, "invalid-fields", "filter.tag"),
    ("POST", BULK, JSON, r#"{"action":"wake","force":true,"filter":{"tag":"a"}}"#, 422, "invalid-fields", "force"),
    ("GET", BULK, "", "", 405, "method-not-allowed", ""),
    ("POST", REPLAY, JSON, r#"{"filter":{}}"#, 422, "invalid-fields", "filter"),
    ("POST", REPLAY, JSON, r#"{"filter":{"subject":"a.*.b"}}"#, 422, "invalid-fields", "filter.subject"),
    ("POST", REPLAY, JSON, r#"{"filter":{"since":"today"}}"#, 422, "invalid-fields", ""),
    ("GET", "/api/v1/events?subject=a..b", "", "", 400, "invalid-parameter", "subject"),
    ("GET", "/api/v1/events?subject=%C3%A9.a", "", "", 400, "invalid-parameter", "subject"),
    ("GET", "/api/v1/events?since=yesterday", "", "", 400, "invalid-parameter", "since"),
    ("GET", "/api/v1/events?kind=rumour", "", "", 400, "invalid-parameter", "kind"),
    ("GET", "/api/v1/jobs?status=bored", "", "", 400, "invalid-parameter", "status"),
    ("DELETE", LETTER, "", "", 400, "invalid-parameter", "reason"),
    (
        "DELETE",
        "/api/v1/admin/dlq/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17?reason=",
        "",
        "",
        400,
        "invalid-parameter",
        "reason",
    ),
    ("DELETE", "/api/v1/admin/dlq/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17?reason=x", "", "", 404, "not-found", ""),
    ("POST", "/api/v1/jobs/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17/cancel", "", "", 404, "not-found", ""),
    ("POST", SESSIONS, JSON, "{", 400, "malformed-body", ""),
    ("POST", SESSIONS, JSON, "", 400, "malformed-body", ""),
    ("POST", SESSIONS, JSON, "{\"template_id\":\"\u{fffd}", 400, "malformed-body", ""),
    ("POST", SESSIONS, JSON, "[]", 422, "invalid-fields", "body"),
    ("POST", SESSIONS, JSON, "[\"scratchpad\",null,null,null,null,null,null,null,null]", 422, "invalid-fields", "body"),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"resources\":[null,null]}",
        422,
        "invalid-fields",
        "resources",
    ),
    ("POST", SESSIONS, JSON, "{}", 422, "invalid-fields", "template_id"),
    ("POST", SESSIONS, JSON, "{\"template_id\":5}", 422, "invalid-fields", "template_id"),
    ("POST", SESSIONS, JSON, "{\"template_id\":null}", 422, "invalid-fields", "template_id"),
    ("POST", SESSIONS, JSON, "{\"template_id\":\"scratchpad\",\"colour\":1}", 422, "invalid-fields", "colour"),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"resources\":{\"gpu\":1}}",
        422,
        "invalid-fields",
        "resources.gpu",
    ),
    ("POST", SESSIONS, JSON, "{\"template_id\":\"scratchpad\",\"tags\":[1]}", 422, "invalid-fields", "tags[0]"),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"persistent_home\":\"yes\"}",
        422,
        "invalid-fields",
        "persistent_home",
    ),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"template_id\":\"scratchpad\"}",
        422,
        "invalid-fields",
        "",
    ),
    ("POST", SESSIONS, JSON, "{\"template_id\":\"nope\"}", 422, "invalid-fields", "template_id"),
    ("POST", SESSIONS, JSON, "{\"template_id\":\"a\\u0000b\"}", 422, "invalid-fields", "template_id"),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"user_id\":\"a\\u0000\"}",
        422,
        "invalid-fields",
        "user_id",
    ),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"metadata\":{\"a\":\"\\u0000\"}}",
        422,
        "invalid-fields",
        "metadata.a",
    ),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"idle_timeout\":\"soon\"}",
        422,
        "invalid-fields",
        "idle_timeout",
    ),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"platform\":\"moon\"}",
        422,
        "invalid-fields",
        "platform",
    ),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"platform\":\"docker\"}",
        422,
        "invalid-fields",
        "platform",
    ),
    (
        "POST",
        SESSIONS,
        JSON,
        "{\"template_id\":\"scratchpad\",\"resources\":{\"memory\":\"much\"}}",
        422,
        "invalid-fields",
        "resources.memory",
    ),
    ("POST", SESSIONS, "text/plain", "{}", 415, "unsupported-media-type", ""),
    ("POST", "/api/v1/templates", "application/x-www-form-urlencoded", "a=b", 415, "unsupported-media-type", ""),
    ("POST", "/api/v1/templates", "application/yaml", "", 422, "invalid-fields", "body"),
    ("POST", "/api/v1/templates", "application/yaml", "a: [", 422, "invalid-fields", "documents[0]"),
    ("POST", "/api/v1/templates", JSON, "{", 400, "malformed-body", ""),
    ("POST", "/api/v1/templates", JSON, "{}", 422, "invalid-fields", "kind"),
    ("GET", "/api/v1/sessions/nope", "", "", 400, "invalid-parameter", "id"),
    ("GET", "/api/v1/sessions/%ff", "", "", 400, "invalid-parameter", "path"),
    ("GET", "/api/v1/templates/%f", "", "", 400, "invalid-parameter", "path"),
    ("GET", "/api/v1/templates/a%00b", "", "", 400, "invalid-parameter", "path"),
    ("GET", "/api/v1/sessions?user_id=%00", "", "", 400, "invalid-parameter", "query"),
    ("GET", "/api/v1/sessions?limit=0", "", "", 400, "invalid-parameter", "limit"),
    ("GET", "/api/v1/sessions?limit=201", "", "", 400, "invalid-parameter", "limit"),
    ("GET", "/api/v1/sessions?limit=-1", "", "", 400, "invalid-parameter", "limit"),
    ("GET", "/api/v1/sessions?limit=1&limit=2", "", "", 400, "invalid-parameter", "limit"),
    ("GET", "/api/v1/sessions?status=asleep", "", "", 400, "invalid-parameter", "status"),
    ("GET", "/api/v1/sessions?stauts=running", "", "", 400, "invalid-parameter", "stauts"),
    ("GET", "/api/v1/sessions?cursor=xyz", "", "", 400, "invalid-parameter", "cursor"),
    ("GET", "/api/v1/admin/dlq?status=all", "", "", 400, "invalid-parameter", "status"),
    ("GET", "/api/v1/sessions/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17", "", "", 404, "not-found", ""),
    ("GET", "/api/v1/sessions/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17/events", "", "", 404, "not-found", ""),
    ("DELETE", "/api/v1/sessions/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17", "", "", 404, "not-found", ""),
    ("POST", "/api/v1/admin/dlq/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17/replay", "", "", 404, "not-found", ""),
    ("GET", "/api/v1/templates/nope", "", "", 404, "not-found", ""),
    ("GET", "/api/v1/controllers/nope", "", "", 404, "not-found", ""),
    ("GET", "/api/v1/nope", "", "", 404, "not-found", ""),
    ("GET", "/nope", "", "", 404, "not-found", ""),
    ("GET", "/problems/nope", "", "", 404, "not-found", ""),
    ("PUT", SESSIONS, "", "", 405, "method-not-allowed", ""),
    ("POST", "/healthz", "", "", 405, "method-not-allowed", ""),
];

#[tokio::test]
async fn every_wrong_request_is_a_problem_that_names_what_is_wrong() -> Result<()> {
    let app = App::start().await?;
    for (method, path, content_type, body, status, problem, field) in CASES {
        let method = Method::from_bytes(method.as_bytes())?;
        let case = format!("{method} {path} {body}");
        let built = if content_type.is_empty() {
            request(method, path).finish()
        } else {
            request(method, path).content_type(content_type).body(*body)
        };
        let answer = app.send(built).await;
        assert_eq!((answer.status, answer.problem()), (*status, *problem), "{case}: {answer:?}");
        assert!(field.is_empty() || answer.fields().contains(field), "{case}: {answer:?}");
        assert!(answer.json["instance"].as_str().unwrap_or_default().starts_with("urn:uuid:"), "{case}");
    }
    Ok(())
}

#[tokio::test]
async fn all_mistakes_of_a_body_are_named_at_once() -> Result<()> {
    let app = App::start().await?;
    let wrong = format!("{{\"colour\":1,\"tags\":\"a\",\"resources\":{{\"memory\":1}},\"user_id\":\"{UUID}\"}}");
    let answer = app.post(SESSIONS, JSON, wrong).await;
    let mut fields = answer.fields();
    fields.sort_unstable();
    assert_eq!(fields, ["colour", "resources.memory", "tags", "template_id"], "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_the_shape_of_a_body_hides_no_mistake_in_its_values() -> Result<()> {
    let app = App::start().await?;
    let session = json!({ "colour": 1, "template_id": "none", "platform": "No Such", "idle_timeout": "soon", "max_duration": 8,
        "resources": { "memory": true, "cpu": "much" }, "tags": ["a", 2, "b\n"], "metadata": { "a": "x\u{0}" } });
    let extension = json!({ "by": "soon", "until": "later" });
    let order = json!({ "action": "explode", "reason": " " });
    let bulk = json!({ "action": "delete", "filter": { "all": "yes" }, "rate": -1, "why": 2 });
    let replay = json!({ "filter": {}, "colour": 1 });
    let application = json!({ "template_name": "none", "platform": "No Such", "colour": 1 });
    let id = format!("{SESSIONS}/{UUID}/extend");
    let all: &[(&str, &Value, &[&str])] = &[
        (
            SESSIONS,
            &session,
            &[
                "colour",
                "idle_timeout",
                "max_duration",
                "metadata.a",
                "platform",
                "resources.cpu",
                "resources.memory",
                "tags[1]",
                "tags[2]",
                "template_id",
            ],
        ),
        (SESSIONS, &json!({ "idle_timeout": "soon" }), &["idle_timeout", "template_id"]),
        (&id, &extension, &["by", "until"]),
        ("/api/v1/admin/controllers/host-1/breaker", &order, &["action", "reason"]),
        ("/api/v1/sessions/bulk", &bulk, &["filter.all", "rate", "why"]),
        ("/api/v1/admin/dlq/replay", &replay, &["colour", "filter"]),
        ("/api/v1/applications", &application, &["colour", "platform", "template_name"]),
    ];
    for (path, body, expected) in all {
        let answer = app.post(path, JSON, body.to_string()).await;
        let mut fields = answer.fields();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!((answer.status, fields.as_slice()), (422, *expected), "{path}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_whether_or_not_it_says_so() -> Result<()> {
    let app = App::with(|config| (config.max_body_bytes, config.max_template_bytes) = (100, 200)).await?;
    let large = vec![b' '; 150];
    assert_eq!(app.post(SESSIONS, JSON, large.clone()).await.problem(), "too-large");
    let lying = request(Method::POST, SESSIONS).content_type(JSON).header("content-length", "1000").body("{}");
    assert_eq!(app.send(lying).await.problem(), "too-large");
    assert_eq!(app.post("/api/v1/templates", "application/yaml", large).await.problem(), "invalid-fields");
    Ok(())
}

#[tokio::test]
async fn a_path_asked_with_a_wrong_method_lists_the_right_ones() -> Result<()> {
    let app = App::start().await?;
    let answer = app.call(Method::PUT, &format!("{SESSIONS}/{UUID}")).await;
    assert_eq!((answer.problem(), answer.header("allow")), ("method-not-allowed", "GET, PATCH, DELETE"));
    assert_eq!(app.call(Method::HEAD, SESSIONS).await.status, 200);
    Ok(())
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() -> Result<()> {
    let app = App::with(|config| (config.requests_per_second, config.burst) = (1, 2)).await?;
    assert_eq!(app.get(SESSIONS).await.status, 200);
    assert_eq!(app.get(SESSIONS).await.status, 200);
    let refused = app.get(SESSIONS).await;
    assert_eq!((refused.problem(), refused.header("retry-after")), ("too-many-requests", "1"));
    let unknown = Request::builder().uri_str(SESSIONS).header("authorization", "Bearer wrong").finish();
    assert_eq!(app.send(unknown).await.status, 401, "a stranger has no bucket");
    Ok(())
}
