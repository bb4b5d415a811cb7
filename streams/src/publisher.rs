//! Publishes to streams; every acknowledgement is awaited, and every failure has a type.

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

/// Maximum publishes in flight: far below the connection's limit, because at that limit the client blocks
/// publishers until someone takes acknowledgements.
const PIPELINE: usize = 1024;

/// Why a message may not be in its stream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer in time, so it may be stored or not. It is safe to send the same `message_id` again.
    #[error("no acknowledgement came in time: it may be stored or not")]
    Ambiguous,
    /// No stream listens on the subject.
    #[error("no stream has the subject {subject}")]
    NoStream {
        /// The subject.
        subject: String,
    },
    /// The stream, the account or the server is full, and refuses new messages.
    #[error("there is no room: {0}")]
    Full(String),
    /// The message is larger than the server or the stream accepts.
    #[error("the message is too large: {0}")]
    TooLarge(String),
    /// Not connected; nothing was sent.
    #[error("not connected to NATS")]
    Disconnected,
    /// Any other error of the server or the client.
    #[error("publishing failed: {0}")]
    Other(#[source] PublishError),
}

impl Error {
    /// Whether the message itself is at fault: it will fail each time, while others can be sent.
    #[must_use]
    pub const fn is_of_message(&self) -> bool {
        matches!(self, Self::TooLarge(_))
    }
}

/// A message to publish.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Its subject.
    pub subject: String,
    /// `Nats-Msg-Id`: the server stores the same id once within its window of 2 minutes.
    pub message_id: String,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// Additional headers.
    pub headers: Vec<(String, String)>,
    /// Payload.
    pub payload: Bytes,
}

/// The acknowledgement of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    /// Sequence in the stream.
    pub sequence: u64,
    /// The server already had the id: nothing was stored, and `sequence` is that of the first message.
    pub duplicate: bool,
    /// Name of the stream.
    pub stream: String,
}

/// Publishes over one connection. Clones share it.
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

    /// Changes how long to wait for acknowledgements.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The connection.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The counters.
    #[must_use]
    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Publishes one message and waits for its acknowledgement.
    ///
    /// # Errors
    /// [`Error`] tells whether it may be stored nonetheless.
    pub async fn publish(&self, message: Outgoing) -> Result<Acked, Error> {
        let subject = message.subject.clone();
        let sent = self.send(message).await;
        self.settle(subject, sent).await
    }

    /// Publishes all messages in order without waiting in between, then awaits the acknowledgements. The
    /// results are in the order of the messages.
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
            return Err(Error::TooLarge(format!("the subject has {length} bytes, more than {LONGEST}")));
        }
        let headers = headers(&message);
        let subject = Subject::from(message.subject);
        let sending = self.link.jetstream.publish_with_headers(subject.clone(), headers, message.payload);
        match tokio::time::timeout(self.timeout, sending).await {
            Ok(sent) => sent.map_err(|error| explain(&subject, error)),
            Err(_) => Err(Error::Ambiguous), // the client's queue is full, so it may still be sent
        }
    }

    async fn settle(&self, subject: String, sent: Result<PublishAckFuture, Error>) -> Result<Acked, Error> {
        let ack = tokio::time::timeout(self.timeout, sent?.into_future()).await.map_err(|_| Error::Ambiguous)?;
        let ack = ack.map_err(|error| explain(&subject, error))?;
        self.metrics.published(&subject);
        Ok(Acked { sequence: ack.sequence, duplicate: ack.duplicate, stream: ack.stream })
    }
}

/// The CloudEvents attributes, overridden by the message's own headers, its id and its trace.
fn headers(message: &Outgoing) -> HeaderMap {
    let mut map = cloudevents::headers(&message.subject, &message.message_id, None);
    for (name, value) in &message.headers {
        // headers with invalid names are left out; they are informative only
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

/// Sets a header without line breaks.
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
