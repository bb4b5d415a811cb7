//! A message as JetStream delivered it, and how it is settled.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use async_nats::header::{NATS_MESSAGE_ID, NATS_PIN_ID};
use async_nats::{HeaderMap, HeaderName, HeaderValue, jetstream};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::connect::Link;
use crate::trace;

/// A delivered message.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its subject.
    pub subject: String,
    /// Its payload.
    pub payload: Bytes,
    /// Its headers, one pair per value.
    pub headers: Headers,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// Name of its stream.
    pub stream: String,
    /// Its sequence in the stream.
    pub stream_sequence: u64,
    /// The stream's epoch, within which sequences are comparable. Set by the engine's sources; 0 from others.
    pub stream_epoch: i64,
    /// Number of deliveries including this one. Not the number of attempts: a restarted server counts from the start.
    pub delivered: i64,
    /// When the stream stored it, by the server's clock.
    pub published_at: DateTime<Utc>,
    /// Its `Nats-Msg-Id`.
    pub message_id: Option<String>,
}

/// The headers of a message, converted on first use: most messages are settled without it.
#[derive(Debug, Clone)]
pub struct Headers(Arc<Came>);

#[derive(Debug)]
struct Came {
    map: HeaderMap,
    pairs: OnceLock<Vec<(String, String)>>,
}

/// A message with the connection to settle it.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) delivery: Delivery,
    pub(crate) pending: u64,
    pub(crate) pin: Option<String>,
    reply: async_nats::Subject,
    link: Arc<Link>,
}

impl Pulled {
    /// Parses it; `None` if it is not a consumer's delivery.
    pub(crate) fn read(link: &Arc<Link>, message: async_nats::Message) -> Option<Self> {
        let reply = message.reply.clone()?;
        let message = jetstream::Message { message, context: link.jetstream.clone() };
        let info = message.info().ok()?;
        let nanos = i64::try_from(info.published.unix_timestamp_nanos()).unwrap_or_default();
        let (stream, stream_sequence, delivered, pending) =
            (info.stream.to_owned(), info.stream_sequence, info.delivered, info.pending);
        let headers = Headers::of(message.message.headers);
        let pin = headers.0.map.get_last(NATS_PIN_ID).map(|pin| pin.as_str().to_owned());
        let delivery = Delivery {
            stream_epoch: 0,
            subject: message.message.subject.into_string(),
            traceparent: headers.first(trace::HEADER).and_then(trace::valid),
            message_id: headers.first(NATS_MESSAGE_ID.as_ref()),
            payload: message.message.payload,
            headers,
            stream,
            stream_sequence,
            delivered,
            published_at: DateTime::from_timestamp_nanos(nanos),
        };
        Some(Self { delivery, pending, pin, reply, link: link.clone() })
    }

    /// Acknowledges it. A lost acknowledgement means one more delivery, which every handler tolerates.
    pub(crate) async fn ack(&self) {
        self.answer("+ACK").await;
    }

    /// Requests redelivery, to any client.
    pub(crate) async fn nak(&self) {
        self.answer("-NAK").await;
    }

    /// Reports progress.
    pub(crate) async fn progress(&self) {
        self.answer("+WPI").await;
    }

    /// Waits until all acknowledgements so far have left this process.
    pub(crate) async fn flush(&self) {
        let _ = self.link.client.flush().await; // without a connection the message is redelivered anyway
    }

    async fn answer(&self, word: &'static str) {
        if let Err(error) = self.link.client.publish(self.reply.clone(), Bytes::from_static(word.as_bytes())).await {
            tracing::debug!(subject = %self.delivery.subject, error = %error, "an acknowledgement was not sent");
        }
    }
}

impl Headers {
    fn of(came: Option<HeaderMap>) -> Self {
        Self(Arc::new(Came { map: came.unwrap_or_default(), pairs: OnceLock::new() }))
    }

    /// The first value of a header, in any case.
    fn first(&self, wanted: &str) -> Option<String> {
        let is_it = |name: &HeaderName| AsRef::<str>::as_ref(name).eq_ignore_ascii_case(wanted);
        let values = self.0.map.iter().find(|(name, _)| is_it(name)).map(|(_, values)| values);
        values.and_then(|values| values.first()).map(|value| value.as_str().to_owned())
    }
}

impl Deref for Headers {
    type Target = [(String, String)];

    fn deref(&self) -> &Self::Target {
        self.0.pairs.get_or_init(|| self.0.map.iter().flat_map(pairs).collect())
    }
}

/// Skips the server's pin header, which is not part of the message.
fn pairs<'a>((name, values): (&'a HeaderName, &'a Vec<HeaderValue>)) -> impl Iterator<Item = (String, String)> + 'a {
    let own = if *name == NATS_PIN_ID { values.len().saturating_sub(1) } else { values.len() };
    values.iter().take(own).map(|value| (name.to_string(), value.as_str().to_owned()))
}
