//! What clients can rely on while a server stops: accepted requests are answered.

use std::time::Duration;

use anyhow::{Context, Result};
use api::Api;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::app::{App, TOKEN, config, until};
use crate::nats_gateway::{listening, plain};

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// An answer, as far as it arrived before the connection went quiet or ended.
async fn answer(socket: &mut TcpStream) -> Result<String> {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&text).contains("\r\n\r\n") {
        match tokio::time::timeout(Duration::from_secs(10), socket.read(&mut piece)).await?? {
            0 => break,
            length => text.extend_from_slice(&piece[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&text).to_lowercase())
}

#[tokio::test]
async fn a_connection_that_was_made_before_the_stop_still_gets_its_answer_and_is_told_to_leave() -> Result<()> {
    let app = App::start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, cancel) = (listener.local_addr()?, CancellationToken::new());
    let server = tokio::spawn(Api::new(config(), app.engine.clone(), cancel.clone())?.serve(listener));
    let (mut used, mut fresh) = (TcpStream::connect(address).await?, TcpStream::connect(address).await?);
    used.write_all(ASK).await?;
    assert!(answer(&mut used).await?.starts_with("http/1.1 200"));
    let mut queued = TcpStream::connect(address).await?; // not accepted yet: this test has one thread
    cancel.cancel();
    tokio::task::yield_now().await;
    for (what, socket) in [("used", &mut used), ("fresh", &mut fresh), ("queued", &mut queued)] {
        socket.write_all(ASK).await?;
        let answer = answer(socket).await?;
        assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{what}: {answer:?}");
    }
    server.await?;
    assert!(TcpStream::connect(address).await.is_err(), "nobody else is let in");
    Ok(())
}

/// Number of accepted sessions.
async fn accepted(app: &App) -> usize {
    app.get("/api/v1/sessions").await.json["items"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn who_waits_for_a_session_when_the_server_stops_is_answered_with_where_it_stands() -> Result<()> {
    const BODY: &str = r#"{"template_id": "scratchpad", "platform": "local"}"#;
    let app = App::start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, cancel) = (listener.local_addr()?, CancellationToken::new());
    let server = tokio::spawn(Api::new(config(), app.engine.clone(), cancel.clone())?.serve(listener));
    let ask = format!(
        "POST /api/v1/sessions?wait=running&timeout=5m HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len(),
    );
    let mut http = TcpStream::connect(address).await?;
    http.write_all(ask.as_bytes()).await?;
    let client = plain(&app.nats).await?;
    listening(&client).await?;
    let payload = r#"{"template_id": "scratchpad", "platform": "local", "wait": "running", "timeout": "5m"}"#;
    let over_nats =
        tokio::spawn(async move { client.request("streamspace.intake.ada.session.create", payload.into()).await });
    until("both are accepted, and wait", async || accepted(&app).await == 2).await;
    cancel.cancel();
    let over_http = answer(&mut http).await?;
    assert!(over_http.starts_with("http/1.1 202") && over_http.contains("location: "), "{over_http}");
    let over_nats = tokio::time::timeout(Duration::from_secs(10), over_nats).await??.context("an answer")?;
    let status = over_nats.headers.as_ref().and_then(|headers| headers.get("Status"));
    assert_eq!(status.map(|status| status.as_str()), Some("202"), "{over_nats:?}");
    let session: serde_json::Value = serde_json::from_slice(&over_nats.payload)?;
    assert_eq!(session["status"], "pending");
    server.await?;
    Ok(())
}
