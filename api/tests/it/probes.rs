//! Endpoints without authentication, and the server itself.

use std::time::Duration;

use anyhow::Result;
use api::Api;
use poem::Request;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{App, TOKEN, config, until};

fn open(path: &str) -> Request {
    Request::builder().uri_str(path).finish()
}

#[tokio::test]
async fn probes_metrics_document_and_problem_pages_need_no_token() -> Result<()> {
    let app = App::start().await?;
    for (path, holds) in [
        ("/healthz", "\"ok\""),
        ("/readyz", "\"ready\""),
        ("/metrics", "# EOF"),
        ("/openapi.json", "\"openapi\""),
        ("/docs", "SwaggerUIBundle"),
        ("/problems/illegal-transition", "allowed"),
    ] {
        let answer = app.send(open(path)).await;
        assert!(answer.status == 200 && answer.text.contains(holds), "{path}: {} {:.200}", answer.status, answer.text);
        assert!(!answer.header("x-request-id").is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn without_nats_it_is_alive_but_not_ready_and_still_accepts() -> Result<()> {
    let mut app = App::start().await?;
    app.nats.down().await?;
    until("it notices", async || app.send(open("/readyz")).await.status == 503).await;
    let answer = app.send(open("/readyz")).await;
    assert_eq!((answer.problem(), answer.fields()), ("unavailable", vec!["nats"]));
    assert_eq!(app.send(open("/healthz")).await.status, 200);
    let accepted = app.session(serde_json::json!({ "template_id": "scratchpad" })).await;
    assert_eq!(accepted.status, 202, "an intent is durable in SQL: {accepted:?}");
    Ok(())
}

#[tokio::test]
async fn the_server_answers_over_tcp_and_ends_when_told() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default(); // another test may have done it
    let app = App::start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (base, cancel) = (format!("http://{}", listener.local_addr()?), CancellationToken::new());
    let server = tokio::spawn(Api::new(config(), app.engine.clone(), cancel.clone())?.serve(listener));
    let client = reqwest::Client::new();
    let created = client
        .post(format!("{base}/api/v1/sessions"))
        .bearer_auth(TOKEN)
        .json(&serde_json::json!({ "template_id": "scratchpad" }))
        .send()
        .await?;
    assert_eq!(created.status(), 202);
    let large =
        client.post(format!("{base}/api/v1/sessions")).bearer_auth(TOKEN).header("content-type", "application/json");
    assert_eq!(large.body(vec![b' '; (1 << 20) + 1]).send().await?.status(), 413);
    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(10), server).await??;
    assert!(client.get(format!("{base}/healthz")).send().await.is_err());
    Ok(())
}

#[tokio::test]
async fn nobody_is_served_without_a_token_being_set() -> Result<()> {
    let app = App::start().await?;
    let config = api::Config::new(api::Secret::new(""));
    let built = Api::new(config, app.engine.clone(), CancellationToken::new());
    assert!(matches!(built, Err(api::Error::NoToken)));
    Ok(())
}
