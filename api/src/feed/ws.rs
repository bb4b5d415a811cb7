//! The feed over a WebSocket.

use std::time::Duration;

use engine::feed::{Cut, Told};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use poem::web::websocket::{CloseCode, Message, WebSocket, WebSocketConfig, WebSocketStream};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaResponse, MetaResponses, Registry};
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at, timeout};

use super::item::{self, FeedItem};
use super::{CutNotice, HEARTBEAT, Seated};

/// The subprotocol, if the client offers any.
const PROTOCOL: &str = "streamspace.v1";
/// Maximum bytes of a client's message.
const MESSAGE_MAX: usize = 4 * 1024;
/// Time limit for sending a message; a client that reads nothing for so long is gone.
const SEND: Duration = Duration::from_secs(30);
/// Silence after which a client is gone, because every WebSocket answers pings.
const SILENCE: Duration = Duration::from_secs(50);
/// Available messages that are written before a flush.
const AT_ONCE: usize = 64;

/// The response that becomes a WebSocket.
pub(super) struct Upgraded(Response);

impl Upgraded {
    pub(super) fn new(socket: WebSocket, seated: Seated) -> Self {
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX)).max_frame_size(Some(MESSAGE_MAX));
        let socket = socket.protocols([PROTOCOL]).config(config);
        Self(socket.on_upgrade(|stream| serve(stream, seated)).into_response())
    }
}

impl IntoResponse for Upgraded {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for Upgraded {
    fn meta() -> MetaResponses {
        let description = "The connection is a WebSocket now; each text message is a `FeedItem`, or has a `type`.";
        let response = MetaResponse {
            description,
            status: Some(101),
            status_range: None,
            content: Vec::new(),
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        <FeedItem as poem_openapi::types::Type>::register(registry);
    }
}

/// Why the connection ends.
enum End {
    /// The client is told why, and where to continue.
    Cut(Cut),
    /// The client's message is too large.
    TooLarge,
    /// The client is gone.
    Silence,
}

/// The sending side.
struct Out(SplitSink<WebSocketStream, Message>);

impl Out {
    async fn write(&mut self, message: Message) -> Result<(), End> {
        let sent = timeout(SEND, self.0.feed(message)).await;
        sent.ok().and_then(Result::ok).ok_or(End::Silence)
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        let sent = timeout(SEND, self.0.send(message)).await;
        sent.ok().and_then(Result::ok).ok_or(End::Silence)
    }
}

async fn serve(stream: WebSocketStream, mut seated: Seated) {
    let (sink, mut incoming) = stream.split();
    let mut out = Out(sink);
    let cut_notice = match converse(&mut out, &mut incoming, &mut seated).await {
        Ok(()) | Err(End::Silence) => return,
        Err(End::TooLarge) => {
            let _ = out.send(Message::close_with(CloseCode::Size, format!("at most {MESSAGE_MAX} bytes"))).await;
            return;
        }
        Err(End::Cut(cut)) => CutNotice { cut, after: seated.watcher.position() },
    };
    let code = match cut_notice.cut {
        Cut::Slow => CloseCode::from(4008),
        Cut::Gone => CloseCode::from(4010),
        Cut::Stopping => CloseCode::Away,
        Cut::Unavailable => CloseCode::Again,
    };
    let reason = format!("{}; after={}", cut_notice.cut.as_str(), cut_notice.after);
    let _ = out.write(Message::text(cut_notice.json().to_string())).await; // the client may be gone
    let _ = out.send(Message::close_with(code, reason)).await;
}

async fn converse(out: &mut Out, incoming: &mut SplitStream<WebSocketStream>, seated: &mut Seated) -> Result<(), End> {
    let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = seated.stopping.cancelled() => return Err(End::Cut(Cut::Stopping)),
            message = incoming.next() => {
                heard = Instant::now();
                match message {
                    Some(Ok(message)) => answer(out, message, seated).await?,
                    Some(Err(error)) => return Err(broken(&error)),
                    None => return Ok(()),
                }
            }
            _ = beat.tick() => {
                if heard.elapsed() > SILENCE {
                    return Err(End::Silence);
                }
                out.send(Message::ping(Vec::new())).await?;
            }
            told = seated.watcher.next() => tell(out, told, seated).await?,
        }
    }
}

/// Sends an item, and all others that are available.
async fn tell(out: &mut Out, told: Told, seated: &mut Seated) -> Result<(), End> {
    let mut next = Some(told);
    for left in (0..AT_ONCE).rev() {
        match next {
            Some(Told::Item(item)) => out.write(Message::text(item::text(&item))).await?,
            Some(Told::Cut(cut)) => return Err(End::Cut(cut)),
            None => break,
        }
        next = if left > 0 { seated.watcher.ready() } else { None };
    }
    timeout(SEND, out.0.flush()).await.ok().and_then(Result::ok).ok_or(End::Silence)
}

async fn answer(out: &mut Out, message: Message, seated: &Seated) -> Result<(), End> {
    let text = match message {
        Message::Text(text) => text,
        Message::Binary(_) => String::new(),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return Ok(()), // the library answers these
    };
    let asked: Option<Value> = serde_json::from_str(&text).ok();
    let reply = if asked.is_some_and(|asked| asked == json!({ "type": "ping" })) {
        json!({ "type": "pong", "after": seated.watcher.position().to_string() })
    } else {
        json!({ "type": "error", "detail": "only {\"type\":\"ping\"} is supported; filters go into the query of the URL" })
    };
    out.send(Message::text(reply.to_string())).await
}

/// A broken stream; only a client that sent too much can still be notified.
fn broken(error: &std::io::Error) -> End {
    if error.to_string().contains("too long") { End::TooLarge } else { End::Silence }
}
