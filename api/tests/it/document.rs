//! The API document, and what can be derived from it.

use std::path::Path;

use anyhow::Result;
use poem::Request;
use poem::http::Method;
use serde_json::Value;

use crate::app::App;

fn described() -> Value {
    serde_json::from_str(&api::document(env!("CARGO_PKG_VERSION"))).unwrap()
}

#[test]
fn the_document_is_the_snapshot() {
    let (path, now) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json"), api::document(env!("CARGO_PKG_VERSION")) + "\n");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(now.lines()).position(|(a, b)| a != b).map_or(0, |line| line + 1);
    assert!(
        kept == now,
        "{} differs from line {differs} on; UPDATE_SNAPSHOTS=1 cargo test -p api writes it",
        path.display()
    );
}

#[tokio::test]
async fn every_operation_without_a_valid_token_is_401() -> Result<()> {
    let (app, document, mut count) = (App::start().await?, described(), 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path =
            format!("/api/v1{}", path.replace("{id}", "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17").replace(['{', '}'], ""));
        for method in operations.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
            for token in ["", "Bearer wrong", "Basic a-token-for-tests", "a-token-for-tests", "Bearer "] {
                let request = Request::builder().method(method.clone()).uri_str(&path).header("authorization", token);
                let answer = app.send(request.finish()).await;
                assert_eq!((answer.status, answer.problem()), (401, "unauthorized"), "{method} {path} {token:?}");
                assert!(answer.header("www-authenticate").starts_with("Bearer"));
            }
            count += 1;
        }
    }
    assert!(count >= 15, "only {count} operations");
    let nothing = app.send(Request::builder().uri_str("/api/v1/nope").finish()).await;
    assert_eq!(nothing.status, 401, "a stranger does not learn what exists");
    Ok(())
}

#[test]
fn every_operation_says_that_it_needs_a_token_and_what_it_may_be_refused_with() {
    for (path, operations) in described()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert_eq!(operation["security"][0]["token"], Value::Array(Vec::new()), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                ["400", "401", "429", "500", "503"].iter().all(|status| responses.contains_key(*status)),
                "{method} {path}"
            );
            assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_is_answered_has_the_fields_that_the_document_lists() -> Result<()> {
    let app = App::start().await?;
    let created = app.session(serde_json::json!({ "template_id": "scratchpad" })).await.json;
    let document = described();
    let listed = document["components"]["schemas"]["Session"]["properties"].as_object().unwrap();
    let answered = created.as_object().unwrap();
    assert_eq!(listed.keys().collect::<std::collections::BTreeSet<_>>(), answered.keys().collect());
    Ok(())
}

/// Every value in the document with a schema: its place, the schema, the example.
fn shown(document: &Value) -> Vec<(String, Value, Value)> {
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let at = format!("{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let at = format!("{at} parameter {}", parameter["name"]);
                assert!(parameter["description"].is_string() || parameter["in"] == "path", "{at} is not described");
                all.push((at, parameter["schema"].clone(), parameter["example"].clone()));
            }
            contents(&format!("{at} request"), &operation["requestBody"], &mut all);
            for (status, response) in operation["responses"].as_object().unwrap() {
                contents(&format!("{at} {status}"), response, &mut all);
                for (name, header) in response["headers"].as_object().into_iter().flatten() {
                    let at = format!("{at} {status} header {name}");
                    assert!(
                        header["description"].as_str().is_some_and(|text| !text.is_empty()),
                        "{at} is not described"
                    );
                    all.push((at, header["schema"].clone(), header["example"].clone()));
                }
            }
        }
    }
    all
}

fn contents(at: &str, holder: &Value, all: &mut Vec<(String, Value, Value)>) {
    for (media_type, content) in holder["content"].as_object().into_iter().flatten() {
        let at = format!("{at} {media_type}");
        let examples: Vec<Value> = match content["examples"].as_object() {
            Some(examples) => examples.values().map(|example| example["value"].clone()).collect(),
            None => vec![content["example"].clone()],
        };
        assert!(!examples.is_empty(), "{at} has no examples");
        all.extend(examples.into_iter().map(|example| (at.clone(), content["schema"].clone(), example)));
    }
}

#[test]
fn every_parameter_header_request_and_answer_has_an_example_that_fits_its_schema() {
    let document = described();
    let all = shown(&document);
    assert!(all.len() > 200, "only {} places", all.len());
    let wrong = |(at, schema, example): &(String, Value, Value)| match check(&document, schema, example) {
        _ if example.is_null() => Some(format!("{at} has no example")),
        Ok(()) => None,
        Err(why) => Some(format!("{at}: {why}")),
    };
    let wrong: Vec<String> = all.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What JSON Schema, as used by OpenAPI 3.1, requires of a value, as far as the document uses it.
fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let named = name.strip_prefix("#/components/schemas/").map(|name| &document["components"]["schemas"][name]);
        let named = named.filter(|named| named.is_object()).ok_or_else(|| format!("{name} is nowhere"))?;
        return check(document, named, value);
    }
    if schema["allOf"].is_array() || schema["oneOf"].is_array() || schema.get("nullable").is_some() {
        return Err(format!("the dialect has no such words: {schema}"));
    }
    if let Some(either) = schema["anyOf"].as_array()
        && !either.iter().any(|one| check(document, one, value).is_ok())
    {
        return Err(format!("{value} is none of {}", schema["anyOf"]));
    }
    if schema["enum"].as_array().is_some_and(|choices| !choices.contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let format = schema["format"].as_str();
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(kind, format, value)) {
        return Err(format!("{value} is no {}", schema["type"]));
    }
    let beyond = |bound: &str, far: fn(f64, f64) -> bool| {
        value.as_f64().zip(schema[bound].as_f64()).is_some_and(|(value, bound)| far(value, bound))
    };
    if beyond("minimum", |value, bound| value < bound) || beyond("maximum", |value, bound| value > bound) {
        return Err(format!("{value} is out of bounds"));
    }
    for item in value.as_array().into_iter().flatten() {
        check(document, &schema["items"], item)?;
    }
    let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else { return Ok(()) };
    let missing = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(name) = missing.into_iter().find(|name| !object.contains_key(*name)) {
        return Err(format!("{name} is missing in {value}"));
    }
    for (name, value) in object {
        let others = schema.get("additionalProperties").filter(|others| **others != false);
        let schema = properties.get(name).or(others).ok_or_else(|| format!("{name} is not a property"))?;
        check(document, schema, value).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

fn is(kind: &str, format: Option<&str>, value: &Value) -> bool {
    let text = value.as_str();
    match (kind, format) {
        ("null", _) => value.is_null(),
        ("string", Some("uuid")) => text.is_some_and(|text| uuid::Uuid::parse_str(text).is_ok()),
        ("string", Some("date-time")) => text.is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
        ("string", _) => value.is_string(),
        ("integer", _) => value.is_i64() || value.is_u64(),
        ("number", _) => value.is_number(),
        ("boolean", _) => value.is_boolean(),
        ("array", _) => value.is_array(),
        ("object", _) => value.is_object(),
        _ => false,
    }
}

#[test]
fn the_document_is_openapi_3_1_and_closes_what_refuses_unknown_fields() {
    let document = described();
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = &document["components"]["schemas"];
    for asked in ["CreateSession", "SessionsBulk", "ReplayMany", "PatchSession", "InstallApplication", "ExtendSession"]
    {
        assert_eq!(schemas[asked]["additionalProperties"], false, "{asked}");
    }
    let reason = &schemas["Session"]["properties"]["reason"]["type"];
    assert_eq!(*reason, serde_json::json!(["string", "null"]));
}

#[tokio::test]
async fn what_is_served_and_shown_as_a_page_is_the_document() -> Result<()> {
    let app = App::start().await?;
    let document: Value = described();
    let served = app.send(Request::builder().uri_str("/openapi.json").finish()).await;
    assert_eq!(served.json, document);
    let page = app.send(Request::builder().uri_str("/docs").finish()).await.text;
    assert!(page.contains(&api::document(env!("CARGO_PKG_VERSION"))), "the page shows another document");
    Ok(())
}

#[test]
fn every_refusal_names_its_types_and_shows_each() {
    let mut known = std::collections::BTreeSet::new();
    for (path, operations) in described()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let at = format!("{method} {path} {status}");
                let Some(content) = response["content"].get("application/problem+json") else {
                    assert!(status.as_str() < "400", "{at} is no problem");
                    continue;
                };
                for (name, example) in content["examples"].as_object().unwrap() {
                    assert!(response["description"].as_str().unwrap().contains(&format!("`{name}`")), "{at} {name}");
                    assert_eq!(example["value"]["type"], format!("/problems/{name}"), "{at}");
                    assert_eq!(example["value"]["status"].to_string(), *status, "{at}");
                    known.insert(name.clone());
                }
                let waits = matches!(status.as_str(), "429" | "503");
                assert_eq!(waits, response["headers"].get("Retry-After").is_some(), "{at} Retry-After");
            }
            let posts = method != "get";
            let keyed = operation["parameters"].to_string().contains("\"Idempotency-Key\"");
            assert_eq!(posts, keyed, "{method} {path} takes a key");
        }
    }
    assert!(known.len() >= 13, "{known:?}");
}

#[test]
fn the_document_says_where_the_server_is_what_it_is_and_what_its_groups_are() {
    let document = described();
    assert_eq!(document["servers"][0]["url"], "/api/v1");
    assert!(document["info"]["description"].as_str().unwrap().contains("Idempotency-Key"));
    for tag in document["tags"].as_array().unwrap() {
        assert!(tag["description"].as_str().is_some_and(|text| text.len() > 10), "{tag}");
    }
    let token = &document["components"]["securitySchemes"]["token"];
    assert_eq!((&token["type"], &token["scheme"]), (&"http".into(), &"bearer".into()));
    assert!(token["description"].is_string(), "{token}");
}

/// Clients rely on the types: `problems.txt` changes only on purpose, and no type is ever removed.
#[tokio::test]
async fn the_types_of_problems_are_the_snapshot_and_each_is_explained() -> Result<()> {
    let app = App::start().await?;
    let index = app.send(Request::builder().uri_str("/problems").finish()).await.text;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("problems.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &index)?;
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), index, "UPDATE_SNAPSHOTS=1 cargo test -p api");
    for line in index.lines() {
        let page = app.send(Request::builder().uri_str(line.split(' ').nth(1).unwrap()).finish()).await;
        let sentences = page.text.matches(". ").count() + page.text.matches(".\n").count();
        assert!(page.status == 200 && sentences >= 2, "a cause and a way out: {}", page.text);
    }
    Ok(())
}

#[tokio::test]
async fn the_wires_document_is_served_to_anybody() -> Result<()> {
    let app = App::start().await?;
    let answer = app.send(Request::builder().uri_str("/asyncapi.json").finish()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text, streams::asyncapi::document(env!("CARGO_PKG_VERSION")));
    Ok(())
}
