//! A message as JetStream delivered it, and the answers that JetStream may get.

use async_nats::jetstream;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::connect::Link;
use crate::trace;

/// A message to be handled.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What it was published on.
    pub subject: String,
    /// Its bytes.
    pub payload: Bytes,
    /// Its headers, one pair for each value.
    pub headers: Vec<(String, String)>,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// The stream that it is in.
    pub stream: String,
    /// Its place in the stream.
    pub stream_sequence: u64,
    /// The stream's epoch, in which alone its place means something. The engine's sources know it; 0 from others.
    pub stream_epoch: i64,
    /// How often it was delivered, this time included. Not the number of attempts: a restarted server counts again.
    pub delivered: i64,
    /// When the stream stored it, by the server's clock.
    pub published_at: DateTime<Utc>,
    /// Its `Nats-Msg-Id`.
    pub message_id: Option<String>,
}

/// A message as it came, with the way back.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) delivery: Delivery,
    pub(crate) pending: u64,
    pub(crate) pin: Option<String>,
    reply: async_nats::Subject,
    link: Link,
}

impl Pulled {
    /// Reads it; `None` where it is no message of a consumer.
    pub(crate) fn read(link: &Link, message: async_nats::Message) -> Option<Self> {
        let reply = message.reply.clone()?;
        let message = jetstream::Message { message, context: link.jetstream.clone() };
        let info = message.info().ok()?;
        let nanos = i64::try_from(info.published.unix_timestamp_nanos()).unwrap_or_default();
        let (stream, stream_sequence, delivered, pending) =
            (info.stream.to_owned(), info.stream_sequence, info.delivered, info.pending);
        let mut headers = pairs(message.message.headers.as_ref());
        // The server adds its pin last; it is no part of the message.
        let pin = headers.iter().rposition(|(name, _)| name == "Nats-Pin-Id").map(|at| headers.swap_remove(at).1);
        let header = |wanted: &str| {
            headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone())
        };
        let delivery = Delivery {
            stream_epoch: 0,
            subject: message.message.subject.to_string(),
            traceparent: header(trace::HEADER),
            message_id: header("Nats-Msg-Id"),
            payload: message.message.payload,
            headers,
            stream,
            stream_sequence,
            delivered,
            published_at: DateTime::from_timestamp_nanos(nanos),
        };
        Some(Self { delivery, pending, pin, reply, link: link.clone() })
    }

    /// It is done with. A lost acknowledgement means one more delivery, which every handler bears.
    pub(crate) async fn ack(&self) {
        self.answer("+ACK").await;
    }

    /// It is to be delivered again, to anyone.
    pub(crate) async fn nak(&self) {
        self.answer("-NAK").await;
    }

    /// It is still being worked on.
    pub(crate) async fn progress(&self) {
        self.answer("+WPI").await;
    }

    /// Waits until what was answered so far has left this process.
    pub(crate) async fn flush(&self) {
        let _ = self.link.client.flush().await; // without a connection the message comes again, as ever
    }

    async fn answer(&self, word: &'static str) {
        if let Err(error) = self.link.client.publish(self.reply.clone(), Bytes::from_static(word.as_bytes())).await {
            tracing::debug!(subject = %self.delivery.subject, error = %error, "an acknowledgement was not sent");
        }
    }
}

fn pairs(headers: Option<&async_nats::HeaderMap>) -> Vec<(String, String)> {
    let Some(headers) = headers else { return Vec::new() };
    let values = headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    values.map(|(name, value)| (name.to_string(), value.as_str().to_owned())).collect()
}
