//! The live feed over HTTP, as clients use it: over TCP, cut off, slow, in a browser, and across servers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::Api;
use base64::Engine as _;
use engine::Engine;
use engine::clock::Clock;
use futures::{SinkExt, StreamExt};
use migrations::testing::TestDatabase;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use streams::testing::{Nats, nats};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;

use crate::app::{App, TOKEN, config, until};

/// A listening server with an engine of its own.
struct Server {
    address: String,
    engine: Arc<Engine>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(database: &TestDatabase, nats: &Nats) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default(); // another test may have done it
        let engine = Engine::start(engine::Config {
            database: database.database.clone(),
            link: nats.link().await?,
            streams: streams::topology::Settings::default(),
            default_platform: "local".into(),
            outbox_limit: engine::OUTBOX_LIMIT,
            retention: None,
            admission: machine::admission::Policy::Open,
            clock: Clock::default(),
        })
        .await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, cancel) = (listener.local_addr()?.to_string(), CancellationToken::new());
        let task = tokio::spawn(Api::new(config(), engine.clone(), cancel.clone())?.serve(listener));
        Ok(Self { address, engine, cancel, task })
    }

    async fn create(&self) -> Result<String> {
        let body = json!({ "template_id": "scratchpad", "user_id": "ann" });
        let url = format!("http://{}/api/v1/sessions", self.address);
        let answer = reqwest::Client::new().post(url).bearer_auth(TOKEN).json(&body).send().await?;
        let id = answer.json::<Value>().await?["session_id"].as_str().context("an id")?.to_owned();
        Ok(format!("session:{id}"))
    }

    async fn stream(&self, query: &str, last: &str) -> Result<Sse> {
        let url = format!("http://{}/api/v1/stream{query}", self.address);
        let request = reqwest::Client::new().get(url).bearer_auth(TOKEN).header("last-event-id", last);
        let response = request.send().await?;
        anyhow::ensure!(response.status() == 200, "{}: {}", response.status(), response.text().await?);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Sse { response, text: String::new(), last: last.to_owned() })
    }

    async fn socket(&self, query: &str) -> Result<WebSocketStream<TcpStream>, WsError> {
        let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(TOKEN);
        let mut request = format!("ws://{}/api/v1/ws{query}", self.address).into_client_request()?;
        let protocols = format!("streamspace.v1, bearer.{token}");
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().expect("a header"));
        let tcp = TcpStream::connect(&self.address).await?;
        let (socket, answer) = tokio_tungstenite::client_async(request, tcp).await?;
        assert_eq!(answer.headers()["sec-websocket-protocol"], "streamspace.v1", "the token is not said back");
        Ok(socket)
    }

    async fn stop(self) -> Result<()> {
        self.cancel.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task).await??;
        self.engine.stop().await;
        Ok(())
    }
}

/// An EventSource: reads events, and remembers the last id.
struct Sse {
    response: reqwest::Response,
    text: String,
    last: String,
}

impl Sse {
    /// Name and data of the next event with data.
    async fn next(&mut self) -> Result<(String, Value)> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                if let Some(id) = field("id") {
                    self.last = id.to_owned();
                }
                if let Some(data) = field("data") {
                    return Ok((field("event").unwrap_or("message").to_owned(), serde_json::from_str(data)?));
                }
            }
            let chunk =
                tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await.context("in time")??;
            self.text += std::str::from_utf8(&chunk.context("the stream ended")?)?;
        }
    }

    async fn item(&mut self) -> Result<Value> {
        match self.next().await? {
            (name, item) if name == "message" => {
                assert_eq!(item["id"], self.last.as_str());
                Ok(item)
            }
            other => bail!("{other:?}"),
        }
    }

    async fn cut(&mut self) -> Result<Value> {
        loop {
            let (name, data) = self.next().await?;
            if name == "cut" {
                assert_eq!(data["after"], self.last.as_str());
                return Ok(data);
            }
        }
    }
}

async fn message(socket: &mut WebSocketStream<TcpStream>) -> Result<Message> {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.context("in time")?;
        match next.context("it ended")?? {
            Message::Ping(_) => {}
            message => return Ok(message),
        }
    }
}

async fn said(socket: &mut WebSocketStream<TcpStream>) -> Result<Value> {
    Ok(serde_json::from_str(message(socket).await?.to_text()?)?)
}

async fn entities(database: &TestDatabase) -> Result<Vec<String>> {
    let sql = "SELECT entity FROM event_log";
    let rows = database.database.reader.query_all_raw(sea_orm::Statement::from_string(database.backend(), sql)).await?;
    let mut all = rows.iter().map(|row| row.try_get("", "entity")).collect::<Result<Vec<String>, _>>()?;
    all.sort();
    Ok(all)
}

#[tokio::test]
async fn a_client_that_was_cut_off_goes_on_without_a_gap_over_either_protocol() -> Result<()> {
    TestDatabase::each(async |database| {
        let nats = nats().await;
        let server = Server::start(database, &nats).await?;
        let (mut told, mut last) = (Vec::new(), "0".to_owned());
        for round in 0..4 {
            server.create().await?;
            let reads = entities(database).await?.len() - told.len() - 1; // one is left for the next
            if round % 2 == 0 {
                let mut sse = server.stream("?after=ffff", &last).await.or(server.stream("", &last).await)?;
                for _ in 0..reads {
                    told.push(sse.item().await?["entity"].as_str().context("entity")?.to_owned());
                }
                last = sse.last;
            } else {
                let mut socket = server.socket(&format!("?after={last}")).await?;
                for _ in 0..reads {
                    let item = said(&mut socket).await?;
                    told.push(item["entity"].as_str().context("entity")?.to_owned());
                    last = item["id"].as_str().context("id")?.to_owned();
                }
            }
        }
        told.push(server.stream("", &last).await?.item().await?["entity"].as_str().context("entity")?.to_owned());
        told.sort();
        assert_eq!(told, entities(database).await?);
        server.stop().await
    })
    .await
}

#[tokio::test]
async fn a_server_that_stops_tells_its_watchers_at_once_and_another_goes_on() -> Result<()> {
    let (database, nats) = (TestDatabase::postgres().await?, nats().await);
    let (one, other) = (Server::start(&database, &nats).await?, Server::start(&database, &nats).await?);
    let (mut sse, mut socket) = (one.stream("?user_id=ann", "").await?, one.socket("?entity=session").await?);
    let first = one.create().await?;
    assert_eq!(sse.item().await?["entity"], first.as_str());
    assert_eq!(said(&mut socket).await?["entity"], first.as_str());
    let begun = tokio::time::Instant::now();
    let (stopped, farewell, ws_farewell) = tokio::join!(one.stop(), sse.cut(), said(&mut socket));
    stopped?;
    assert!(begun.elapsed() < Duration::from_secs(5), "watchers hold up nobody: {:?}", begun.elapsed());
    assert_eq!((&farewell?["reason"], &ws_farewell?["type"]), (&json!("stopping"), &json!("cut")));
    let Message::Close(Some(frame)) = message(&mut socket).await? else { bail!("no close") };
    assert_eq!(u16::from(frame.code), 1001);
    let after = frame.reason.as_str().split_once("after=").context("a position")?.1.to_owned();
    let second = other.create().await?;
    assert_eq!(other.stream("?user_id=ann", &sse.last).await?.item().await?["entity"], second.as_str());
    assert_eq!(said(&mut other.socket(&format!("?after={after}")).await?).await?["entity"], second.as_str());
    other.stop().await
}

/// Rows that fill any socket's buffers, in one transaction.
async fn flood(database: &TestDatabase, rows: usize) -> Result<()> {
    let payload = json!({ "text": "x".repeat(4000) });
    let sql = format!(
        "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {rows})
         INSERT INTO event_log (event_id, subject, payload, entity, entity_seq, kind, direction, created_ms)
         SELECT randomblob(16), 's', '{payload}', 'test:flood', n, 'decision', 'own', 0 FROM many"
    );
    database.database.writer.execute_unprepared(&sql).await?;
    Ok(())
}

#[tokio::test]
async fn who_does_not_read_is_cut_and_comes_back_whole() -> Result<()> {
    let (database, nats, rows) = (TestDatabase::sqlite().await?, nats().await, 5 * engine::feed::RING);
    let server = Server::start(&database, &nats).await?;
    let (mut sse, mut socket) = (server.stream("", "").await?, server.socket("").await?);
    flood(&database, rows).await?;
    let through = format!("streamspace_feed_rows_total {rows}");
    until("the ring has had them all", async || server.engine.metrics().contains(&through)).await;
    let over_sse = async {
        // the size of the kernel's buffers decides whether the watcher is cut, or continues from the log
        let mut seen = 0;
        while seen < rows {
            let (name, data) = sse.next().await?;
            if name == "cut" {
                assert_eq!(data["reason"], "slow");
                break;
            }
            seen += 1;
            assert_eq!(data["entity_seq"], seen);
        }
        let mut back = server.stream("", &sse.last).await?;
        for seq in seen + 1..=rows {
            assert_eq!(back.item().await?["entity_seq"], seq);
        }
        Ok(())
    };
    let over_ws = async {
        loop {
            if let Message::Close(frame) = message(&mut socket).await? {
                return frame.context("a reason");
            }
        }
    };
    let ((), close) = tokio::try_join!(over_sse, over_ws)?;
    assert_eq!(u16::from(close.code), 4008);
    assert!(close.reason.as_str().starts_with("slow; after="), "{close:?}");
    server.stop().await
}

#[tokio::test]
async fn filters_and_positions_that_are_wrong_are_refused_by_name() -> Result<()> {
    let app = App::start().await?;
    for (query, field) in [
        ("entity=Session:1", "entity"),
        ("entity=session:", "entity"),
        ("subject=a..b", "subject"),
        ("subject=a.%3E.b", "subject"),
        ("kind=gossip", "kind"),
        ("platform=No%20Such", "platform"),
        ("user_id=", "user_id"),
        ("after=yesterday", "after"),
        ("afterr=0", "afterr"),
        ("token=a", "token"),
    ] {
        let answer = app.get(&format!("/api/v1/stream?{query}")).await;
        assert_eq!(
            (answer.status, answer.problem(), answer.fields()),
            (400, "invalid-parameter", vec![field]),
            "{query}"
        );
    }
    let nobody = app.get("/api/v1/stream?after=0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17").await;
    assert_eq!((nobody.status, nobody.problem()), (404, "not-found"));
    let gone = app.get("/api/v1/stream?after=0.ffff.12345678").await;
    assert_eq!((gone.status, gone.problem()), (410, "gone"));
    let plain = app.get("/api/v1/ws").await;
    assert_eq!((plain.status, plain.problem(), plain.header("upgrade")), (426, "upgrade-required", "websocket"));
    Ok(())
}

#[tokio::test]
async fn watchers_have_a_limit_and_their_seats_are_free_again() -> Result<()> {
    let app = App::with(|config| config.max_watchers = 2).await?;
    let endpoint = app.watch("/api/v1/stream").await;
    let second = app.watch("/api/v1/stream").await;
    assert_eq!((endpoint.status(), second.status()), (200.try_into()?, 200.try_into()?));
    let full = app.get("/api/v1/stream").await;
    assert_eq!((full.status, full.problem(), full.header("retry-after")), (503, "unavailable", "5"));
    drop(second);
    assert_eq!(app.watch("/api/v1/stream").await.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_socket_answers_pings_and_nothing_else_and_needs_its_token() -> Result<()> {
    let (database, nats) = (TestDatabase::sqlite().await?, nats().await);
    let server = Server::start(&database, &nats).await?;
    let mut socket = server.socket("").await?;
    socket.send(Message::text("{\"type\":\"ping\"}")).await?;
    assert_eq!(said(&mut socket).await?["type"], "pong");
    for nonsense in [Message::text("{\"type\":\"filter\"}"), Message::text("]"), Message::binary(vec![0, 255])] {
        socket.send(nonsense).await?;
        let answer = said(&mut socket).await?;
        assert_eq!(answer["type"], "error", "{answer}");
    }
    let entity = server.create().await?;
    assert_eq!(said(&mut socket).await?["entity"], entity.as_str(), "it still watches");
    socket.send(Message::text("x".repeat(5000))).await?;
    let Message::Close(Some(frame)) = message(&mut socket).await? else { bail!("no close") };
    assert_eq!(u16::from(frame.code), 1009);
    let mut stranger = format!("ws://{}/api/v1/ws", server.address).into_client_request()?;
    stranger.headers_mut().insert("sec-websocket-protocol", "streamspace.v1, bearer.d3Jvbmc".parse()?);
    let tcp = TcpStream::connect(&server.address).await?;
    let Err(WsError::Http(refused)) = tokio_tungstenite::client_async(stranger, tcp).await else { bail!("let in") };
    assert_eq!(refused.status(), 401);
    server.stop().await
}

#[tokio::test]
async fn an_item_has_the_fields_that_the_document_lists() -> Result<()> {
    let (database, nats) = (TestDatabase::sqlite().await?, nats().await);
    let server = Server::start(&database, &nats).await?;
    server.create().await?;
    let item = server.stream("?entity=session", "0").await?.item().await?;
    let document: Value = serde_json::from_str(&api::document("1"))?;
    let listed = document["components"]["schemas"]["FeedItem"]["properties"].as_object().context("a schema")?;
    let said = item.as_object().context("an object")?;
    assert_eq!(listed.keys().collect::<std::collections::BTreeSet<_>>(), said.keys().collect());
    assert_eq!((&item["user_id"], &item["platform"]), (&json!("ann"), &json!("local")));
    server.stop().await
}
