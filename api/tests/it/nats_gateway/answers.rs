//! The same request gets the same answer over NATS and over HTTP.

use anyhow::Result;
use poem::http::Method;
use serde_json::{Value, json};

use super::Desk;
use crate::app::request;

/// The same request over both.
struct Case {
    name: &'static str,
    payload: String,
    method: Method,
    path: String,
    body: Option<String>,
}

fn case(name: &'static str, payload: Value, method: Method, path: &str, body: Option<Value>) -> Case {
    let (payload, body) = (payload.to_string(), body.map(|body| body.to_string()));
    Case { name, payload, method, path: format!("/api/v1{path}"), body }
}

/// The answer without what differs each time.
fn comparable(mut json: Value) -> Value {
    const OF_THE_MOMENT: [&str; 7] =
        ["session_id", "instance", "created_at", "updated_at", "last_activity", "next_cursor", "position"];
    if let Some(fields) = json.as_object_mut() {
        fields.retain(|name, _| !OF_THE_MOMENT.contains(&name.as_str()));
    }
    if let Some(items) = json["items"].as_array_mut() {
        items.iter_mut().for_each(|item| *item = comparable(item.take()));
    }
    json
}

async fn compare(desk: &Desk, case: Case) -> Result<()> {
    let over_nats = desk.ask("ada", case.name, case.payload.clone()).await?;
    let over_http = request(case.method.clone(), &case.path);
    let over_http = match case.body {
        Some(body) => over_http.content_type("application/json").body(body),
        None => over_http.finish(),
    };
    let over_http = desk.app.send(over_http).await;
    let what = format!("{} {} and {} {}", case.name, case.payload, case.method, case.path);
    assert_eq!(over_nats.status, over_http.status, "{what}: {over_nats:?} {over_http:?}");
    for name in ["Content-Type", "Retry-After", "Allow", "ETag"] {
        assert_eq!(over_nats.header(name), over_http.header(&name.to_lowercase()), "{what}: {name}");
    }
    assert_eq!(comparable(over_nats.json), comparable(over_http.json), "{what}");
    Ok(())
}

#[tokio::test]
async fn good_and_bad_requests_are_answered_alike() -> Result<()> {
    let desk = Desk::open().await?;
    let body = |body: Value| (body.clone(), Some(body));
    let create = |said: Value| {
        let (payload, body) = body(said);
        case("session.create", payload, Method::POST, "/sessions", body)
    };
    let mine = desk.ask("ada", "session.create", r#"{"template_id":"scratchpad"}"#).await?;
    let id = mine.json["session_id"].as_str().unwrap_or_default().to_owned();
    let of = |id: &str| json!({ "session_id": id });
    let nobody = "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17";
    let cases = [
        create(json!({ "template_id": "scratchpad", "user_id": "ada", "tags": ["a"], "metadata": { "k": [1, null] } })),
        create(json!({ "template_id": "nope", "user_id": "ada", "idle_timeout": "soon" })),
        create(json!({ "template_id": 7, "colour": "blue", "user_id": "ada" })),
        create(json!({})),
        create(json!([1])),
        case("session.get", of(&id), Method::GET, &format!("/sessions/{id}"), None),
        case("session.get", of(nobody), Method::GET, &format!("/sessions/{nobody}"), None),
        case("session.get", of("no-id/at all"), Method::GET, "/sessions/no-id%2Fat%20all", None),
        case("session.hibernate", of(&id), Method::POST, &format!("/sessions/{id}/hibernate"), None),
        case("session.wake", of(&id), Method::POST, &format!("/sessions/{id}/wake"), None),
        case("session_event.list", of(&id), Method::GET, &format!("/sessions/{id}/events"), None),
        case("session.list", json!({ "user_id": "ada" }), Method::GET, "/sessions?user_id=ada", None),
        case("session.list", json!({ "user_id": "ada", "limit": 0 }), Method::GET, "/sessions?limit=0", None),
        case("session.list", json!({ "color": "blue" }), Method::GET, "/sessions?color=blue", None),
        case("session.list", json!({ "status": "odd" }), Method::GET, "/sessions?status=odd", None),
        case("session.list", json!({ "cursor": "x" }), Method::GET, "/sessions?cursor=x", None),
        case("session.get", json!({ "id": id, "x": 1 }), Method::GET, &format!("/sessions/{id}?x=1"), None),
        case("template.list", json!({ "category": "nope" }), Method::GET, "/templates?category=nope", None),
        case("template.get", json!({ "name": "scratchpad" }), Method::GET, "/templates/scratchpad", None),
        case("template.get", json!({ "name": "a b" }), Method::GET, "/templates/a%20b", None),
        case("platform.list", json!({}), Method::GET, "/platforms", None),
        case("controller.get", json!({ "controller_id": "x" }), Method::GET, "/controllers/x", None),
        case(
            "session.delete",
            json!({ "session_id": id, "force": "perhaps" }),
            Method::DELETE,
            &format!("/sessions/{id}?force=perhaps"),
            None,
        ),
    ];
    for case in cases {
        compare(&desk, case).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_payload_that_is_not_json_is_400_and_a_missing_id_is_named() -> Result<()> {
    let desk = Desk::open().await?;
    for name in ["session.create", "session.get", "session.list"] {
        let reply = desk.ask("ada", name, "{ not json").await?;
        assert_eq!((reply.status, reply.problem()), (400, "malformed-body"), "{name}");
    }
    assert_eq!(desk.ask("ada", "session.create", "").await?.status, 400);
    assert_eq!(desk.ask("ada", "session.get", "[1]").await?.status, 400);
    let reply = desk.ask("ada", "session.get", "{}").await?;
    assert_eq!((reply.status, &reply.json["errors"][0]["field"]), (400, &json!("session_id")), "{reply:?}");
    Ok(())
}
