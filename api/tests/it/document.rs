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
            assert!(["401", "429", "503"].iter().all(|status| responses.contains_key(*status)), "{method} {path}");
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

#[tokio::test]
async fn the_wires_document_is_served_to_anybody() -> Result<()> {
    let app = App::start().await?;
    let answer = app.send(Request::builder().uri_str("/asyncapi.json").finish()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text, streams::asyncapi::document(env!("CARGO_PKG_VERSION")));
    Ok(())
}
