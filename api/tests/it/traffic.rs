//! What clients cannot do to the server: occupy it with half a request, a connection, or an unread answer.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use api::Api;
use bytes::Bytes;
use poem::Request;
use poem::http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::app::{App, TOKEN, config, request};

const SHORT: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10);

/// A server over TCP, which stops with the test.
struct Served {
    app: App,
    address: SocketAddr,
    _stop: tokio_util::sync::DropGuard,
}

async fn served(change: impl FnOnce(&mut api::Config)) -> Result<Served> {
    let (app, listener) = (App::start().await?, TcpListener::bind("127.0.0.1:0").await?);
    let (address, cancel) = (listener.local_addr()?, CancellationToken::new());
    let mut config = config();
    change(&mut config);
    tokio::spawn(Api::new(config, app.engine.clone(), cancel.clone())?.serve(listener));
    Ok(Served { app, address, _stop: cancel.drop_guard() })
}

impl Served {
    async fn connect(&self) -> Result<TcpStream> {
        Ok(TcpStream::connect(self.address).await?)
    }

    /// A complete request over a new connection.
    async fn ask(&self, head: &str) -> Result<String> {
        let mut socket = self.connect().await?;
        socket.write_all(format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        ended(socket).await
    }

    async fn h2(&self) -> Result<h2::client::SendRequest<Bytes>> {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(0);
        let (client, connection) = builder.handshake(self.connect().await?).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }
}

/// Everything received until the server closes the connection.
async fn ended(mut socket: TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    match tokio::time::timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.context("it is not ended")? {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(error.into()),
        _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[tokio::test]
async fn half_a_head_silence_and_a_preface_alone_are_not_waited_for() -> Result<()> {
    let served = served(|config| config.sockets.head = SHORT).await?;
    for (what, said) in [
        ("silence", &b""[..]),
        ("half a head", b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: "),
        ("a preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("half a preface", b"PRI * HT"),
    ] {
        let mut socket = served.connect().await?;
        socket.write_all(said).await?;
        ended(socket).await.context(what)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_keep_a_head_open() -> Result<()> {
    let served = served(|config| config.sockets.head = SHORT).await?;
    let mut socket = served.connect().await?;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut answer = [0; 4096];
    assert!(socket.read(&mut answer).await? > 0, "the first request of a connection is answered");
    let trickle = async {
        while socket.write_all(b"G").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(PATIENCE, trickle).await.context("it is not ended")
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_ended() -> Result<()> {
    let served = served(|config| config.sockets.idle = SHORT).await?;
    let mut socket = served.connect().await?;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    assert!(ended(socket).await?.starts_with("HTTP/1.1 200"));
    Ok(())
}

#[tokio::test]
async fn half_open_connections_in_any_number_keep_nobody_out() -> Result<()> {
    let served = served(|config| (config.sockets.connections, config.sockets.per_address) = (16, 16)).await?;
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut socket = served.connect().await?;
        socket.write_all(b"GET /healthz HTTP/1.1\r\nx-").await?;
        held.push(socket);
    }
    for _ in 0..20 {
        assert!(served.ask("GET /healthz HTTP/1.1").await?.starts_with("HTTP/1.1 200"));
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() -> Result<()> {
    let served = served(|config| config.sockets.body = SHORT).await?;
    for extra in ["", "idempotency-key: k\r\n"] {
        let mut socket = served.connect().await?;
        let head = format!(
            "POST /api/v1/sessions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n{extra}\
             content-type: application/json\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{{"
        );
        socket.write_all(head.as_bytes()).await?;
        let answer = ended(socket).await?;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("/problems/request-timeout"), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn who_does_not_read_an_answer_loses_the_connection() -> Result<()> {
    let served = served(|config| config.sockets.stall = SHORT).await?;
    let mut first_version = served.connect().await?;
    first_version.write_all(b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(16).as_slice()).await?;
    let mut client = served.h2().await?.ready().await?;
    let request = http(&served, "/docs").body(())?;
    let (answer, _) = client.send_request(request, true)?;
    let mut body = answer.await?.into_body();
    let cut = tokio::time::timeout(PATIENCE, body.data()).await.context("HTTP/2 is not ended")?;
    assert!(cut.is_none_or(|frame| frame.is_err()), "with a window of 0 nothing can come");
    tokio::time::sleep(SHORT * 3).await; // not to read is what is tried
    let read = ended(first_version).await?.len();
    assert!(read < 16 * 2_000_000, "all of {read} bytes were sent");
    Ok(())
}

fn http(served: &Served, path: &str) -> poem::http::request::Builder {
    let uri = format!("http://{}{path}", served.address);
    poem::http::Request::builder().uri(uri).header("authorization", format!("Bearer {TOKEN}"))
}

#[tokio::test]
async fn answers_that_nobody_reads_hold_no_more_memory_together_than_is_said() -> Result<()> {
    let served = served(|config| config.sockets.buffered = 100 << 10).await?;
    for _ in 0..20 {
        let large = json!({ "template_id": "scratchpad", "metadata": { "note": "x".repeat(8_000) } });
        assert_eq!(served.app.session(large).await.status, 202);
    }
    let mut client = served.h2().await?.ready().await?;
    let mut held = Vec::new();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let (answer, _) = client.send_request(http(&served, "/api/v1/sessions?limit=20").body(())?, true)?;
        let answer = answer.await?;
        statuses.push(answer.status().as_u16());
        held.push(answer.into_body());
        client = client.ready().await?;
    }
    assert_eq!(statuses, [200, 503, 503]);
    drop(held);
    let again = async {
        while !served
            .ask(&format!("GET /api/v1/sessions?limit=20 HTTP/1.1\r\nauthorization: Bearer {TOKEN}"))
            .await?
            .starts_with("HTTP/1.1 200")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, again).await.context("memory is not given back")?
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_with_the_limit() -> Result<()> {
    let app = App::start().await?;
    let long = app.get(&format!("/api/v1/sessions?user_id={}", "x".repeat(9_000))).await;
    assert_eq!((long.status, long.problem()), (414, "uri-too-long"));
    let many = app.get(&format!("/api/v1/sessions?{}", "a=1&".repeat(100))).await;
    assert_eq!((many.status, many.problem()), (400, "invalid-parameter"));
    let wide = request(Method::GET, "/api/v1/sessions").header("x-wide", "x".repeat(40_000)).finish();
    let wide = app.send(wide).await;
    assert_eq!((wide.status, wide.problem()), (431, "headers-too-large"));
    let crowd = (0..200).fold(request(Method::GET, "/api/v1/sessions"), |r, n| r.header(format!("x-{n}"), "1"));
    let crowd = app.send(crowd.finish()).await;
    assert_eq!((crowd.status, crowd.problem()), (431, "headers-too-large"));
    Ok(())
}

#[tokio::test]
async fn documents_are_compressed_once_and_not_sent_to_who_has_them() -> Result<()> {
    let app = App::start().await?;
    for path in ["/docs", "/openapi.json", "/asyncapi.json"] {
        let ask = |name: &str, value: &str| Request::builder().uri_str(path).header(name, value).finish();
        let plain = app.send(ask("accept", "*/*")).await;
        let response = app.watch_open(ask("accept-encoding", "gzip")).await;
        assert_eq!(response.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(response.header("vary"), Some("accept-encoding"));
        let bytes = response.into_body().into_bytes().await?;
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text)?;
        assert!(text == plain.text && bytes.len() * 3 < text.len(), "{path}: {} of {}", bytes.len(), text.len());
        let known = app.send(ask("if-none-match", plain.header("etag"))).await;
        assert_eq!((known.status, known.text.len()), (304, 0), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn limits_hold_unless_they_are_taken_away_and_say_how_much_is_left() -> Result<()> {
    let app = App::with(|config| (config.requests_per_second, config.burst) = (1, 2)).await?;
    let first = app.get("/api/v1/sessions").await;
    assert_eq!((first.header("ratelimit-limit"), first.header("ratelimit-remaining")), ("2", "1"));
    app.get("/api/v1/sessions").await;
    let refused = app.get("/api/v1/sessions").await;
    assert_eq!((refused.status, refused.problem()), (429, "too-many-requests"));
    for (name, value) in [("retry-after", "1"), ("ratelimit-limit", "2"), ("ratelimit-remaining", "0")] {
        assert_eq!(refused.header(name), value, "{name}");
    }
    assert!(config().requests_per_second >= 100 && config().address_requests_per_second >= 100, "on by default");
    Ok(())
}

#[tokio::test]
async fn an_address_that_guesses_tokens_is_slowed_down_and_probes_never_are() -> Result<()> {
    let served = served(|config| (config.address_requests_per_second, config.address_burst) = (1, 5)).await?;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let answer = served.ask("GET /api/v1/sessions HTTP/1.1\r\nauthorization: Bearer wrong-wrong-wrong").await?;
        statuses.push(answer[9..12].to_owned());
    }
    assert_eq!(statuses[..5], ["401"; 5]);
    assert!(statuses[5..].contains(&"429".to_owned()), "{statuses:?}");
    assert!(served.ask("GET /healthz HTTP/1.1").await?.starts_with("HTTP/1.1 200"));
    Ok(())
}
