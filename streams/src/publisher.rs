//! Publishing to a stream, with every acknowledgement awaited and every failure named.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{HeaderMap, HeaderName, HeaderValue, Subject};
use bytes::Bytes;

use crate::cloudevents;
use crate::connect::{ACK_TIMEOUT, Link};
use crate::metrics::Metrics;
use crate::subject::LONGEST;
use crate::topology::is_out_of_room;
use crate::trace;

/// Messages on their way at a time: far below what the connection allows all its users together, because the client waits for
/// room there while nobody takes the acknowledgements that would make it.
const PIPELINE: usize = 1024;

/// Why a message is not known to be in its stream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It may be stored or not: no answer came in time. The same `message_id` may be sent again.
    #[error("no acknowledgement came in time: it may be stored or not")]
    Ambiguous,
    /// No stream listens on the subject.
    #[error("no stream takes {subject}")]
    NoStream {
        /// Where it was to go.
        subject: String,
    },
    /// The stream is at its limit, or the account, or the server: it refuses new messages until there is room.
    #[error("there is no room: {0}")]
    Full(String),
    /// The message is larger than the server, or the stream, takes.
    #[error("the message is too large: {0}")]
    TooLarge(String),
    /// There is no connection now; nothing was sent.
    #[error("not connected to NATS")]
    Disconnected,
    /// Anything else that the server or the client says.
    #[error("publishing failed: {0}")]
    Other(#[source] PublishError),
}

impl Error {
    /// Whether it is the message's own fault, and will be so each time: others can be sent, and this one cannot.
    #[must_use]
    pub const fn is_of_message(&self) -> bool {
        matches!(self, Self::TooLarge(_))
    }
}

/// A message on its way.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Where to.
    pub subject: String,
    /// `Nats-Msg-Id`: the server stores the same id once within its window of 2 minutes.
    pub message_id: String,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub payload: Bytes,
}

/// The stream has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    /// Its place in the stream.
    pub sequence: u64,
    /// The server had seen the id: nothing new was stored, `sequence` is that of the first.
    pub duplicate: bool,
    /// Which stream.
    pub stream: String,
}

/// Publishes through one connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Publisher {
    link: Arc<Link>,
    metrics: Metrics,
    timeout: Duration,
}

impl Publisher {
    /// A publisher on a connection.
    #[must_use]
    pub fn new(link: Link, metrics: Metrics) -> Self {
        Self { link: Arc::new(link), metrics, timeout: ACK_TIMEOUT }
    }

    /// Waits for acknowledgements for so long instead.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The connection that it publishes on.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Where it counts.
    #[must_use]
    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Publishes one message and waits for its acknowledgement.
    ///
    /// # Errors
    /// [`Error`] says whether it may be stored nonetheless.
    pub async fn publish(&self, message: Outgoing) -> Result<Acked, Error> {
        let subject = message.subject.clone();
        let sent = self.send(message).await;
        self.settle(subject, sent).await
    }

    /// Publishes all in their order without waiting in between, then awaits each acknowledgement. The results are in the
    /// order of the messages.
    pub async fn publish_all(&self, messages: Vec<Outgoing>) -> Vec<Result<Acked, Error>> {
        let mut results = Vec::with_capacity(messages.len());
        let mut messages = messages.into_iter();
        loop {
            let mut waiting = Vec::new();
            for message in messages.by_ref().take(PIPELINE) {
                let subject = message.subject.clone();
                waiting.push(self.settle(subject, self.send(message).await));
            }
            if waiting.is_empty() {
                return results;
            }
            results.extend(futures::future::join_all(waiting).await);
        }
    }

    async fn send(&self, message: Outgoing) -> Result<PublishAckFuture, Error> {
        if !self.link.is_connected() {
            return Err(Error::Disconnected);
        }
        if message.subject.len() > LONGEST {
            let length = message.subject.len();
            return Err(Error::TooLarge(format!("the subject has {length} bytes, and {LONGEST} is the most")));
        }
        let headers = headers(&message);
        let subject = Subject::from(message.subject);
        let sending = self.link.jetstream.publish_with_headers(subject.clone(), headers, message.payload);
        match tokio::time::timeout(self.timeout, sending).await {
            Ok(sent) => sent.map_err(|error| explain(&subject, error)),
            Err(_) => Err(Error::Ambiguous), // the client's queue is full: it may go out yet
        }
    }

    async fn settle(&self, subject: String, sent: Result<PublishAckFuture, Error>) -> Result<Acked, Error> {
        let ack = tokio::time::timeout(self.timeout, sent?.into_future()).await.map_err(|_| Error::Ambiguous)?;
        let ack = ack.map_err(|error| explain(&subject, error))?;
        self.metrics.published(&subject);
        Ok(Acked { sequence: ack.sequence, duplicate: ack.duplicate, stream: ack.stream })
    }
}

/// What the message is as a CloudEvent, its own headers over that, its id and its trace.
fn headers(message: &Outgoing) -> HeaderMap {
    let mut map = cloudevents::headers(&message.subject, &message.message_id, None);
    for (name, value) in &message.headers {
        // a name that no header can have is left out: headers are for people and tools, the payload is the message
        if let Ok(name) = HeaderName::from_str(name) {
            put(&mut map, name, value);
        }
    }
    if let Some(traceparent) = &message.traceparent {
        put(&mut map, HeaderName::from_static(trace::HEADER), traceparent);
    }
    if !message.message_id.is_empty() {
        put(&mut map, NATS_MESSAGE_ID, &message.message_id);
    }
    map
}

/// A header is one line.
fn put(map: &mut HeaderMap, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).or_else(|_| HeaderValue::from_str(&value.replace(['\r', '\n'], " ")));
    if let Ok(value) = value {
        map.insert(name, value);
    }
}

fn explain(subject: &str, error: PublishError) -> Error {
    match error.kind() {
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Error::Ambiguous,
        PublishErrorKind::StreamNotFound => Error::NoStream { subject: subject.into() },
        PublishErrorKind::MaxPayloadExceeded => Error::TooLarge(error.to_string()),
        _ => by_server(error),
    }
}

fn by_server(error: PublishError) -> Error {
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    let Some(said) = source else { return Error::Other(error) };
    match said.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            Error::TooLarge(said.to_string())
        }
        code if is_out_of_room(code) => Error::Full(said.to_string()),
        _ => Error::Other(error),
    }
}
