//! A message as JetStream delivered it, and the answers that JetStream may get.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use async_nats::header::{NATS_MESSAGE_ID, NATS_PIN_ID};
use async_nats::{HeaderMap, HeaderName, HeaderValue, jetstream};
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
    pub headers: Headers,
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

/// The headers of a message. They are written out once, for whoever looks: most messages are done with before anybody does.
#[derive(Debug, Clone)]
pub struct Headers(Arc<Came>);

#[derive(Debug)]
struct Came {
    map: HeaderMap,
    pairs: OnceLock<Vec<(String, String)>>,
}

/// A message as it came, with the way back.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) delivery: Delivery,
    pub(crate) pending: u64,
    pub(crate) pin: Option<String>,
    reply: async_nats::Subject,
    link: Arc<Link>,
}

impl Pulled {
    /// Reads it; `None` where it is no message of a consumer.
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

impl Headers {
    fn of(came: Option<HeaderMap>) -> Self {
        Self(Arc::new(Came { map: came.unwrap_or_default(), pairs: OnceLock::new() }))
    }

    /// The first value under a name, in whatever case it is written.
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

/// The server adds its pin last; it is no part of the message.
fn pairs<'a>((name, values): (&'a HeaderName, &'a Vec<HeaderValue>)) -> impl Iterator<Item = (String, String)> + 'a {
    let own = if *name == NATS_PIN_ID { values.len().saturating_sub(1) } else { values.len() };
    values.iter().take(own).map(|value| (name.to_string(), value.as_str().to_owned()))
}
