//! Parking what cannot be processed: the exact bytes go to the dead-letter stream, with the headers they came with and the
//! reason. Only after that stream acknowledged them may the original be acknowledged.

use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::crash::{Moment, point};
use crate::publisher::{Acked, Error, Outgoing, Publisher};
use crate::subject;
use crate::worker::Delivery;

/// Header: a stable word for machines, such as `undecodable`.
pub const REASON: &str = "Streamspace-Reason";
/// Header: the error, for people.
pub const ERROR: &str = "Streamspace-Error";
/// Header: where the message was to go.
pub const ORIGINAL_SUBJECT: &str = "Streamspace-Original-Subject";
/// Header: its sequence in the stream that it came from.
pub const STREAM_SEQUENCE: &str = "Streamspace-Stream-Sequence";
/// Header: what was tried, as a JSON array of [`Attempt`].
pub const ATTEMPTS: &str = "Streamspace-Attempts";
/// Header of a corrected message: the id of the dead letter that it was.
pub const EDITED_LETTER: &str = "Streamspace-Edited-Letter";
/// Prefix of the original's `Nats-*` headers: as they stood they would give the server orders.
pub const ORIGINAL_PREFIX: &str = "Streamspace-Original-";

const LONGEST_ERROR: usize = 2048;
const MOST_ATTEMPTS: usize = 20;
const LONGEST_ATTEMPT: usize = 200;

/// One attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts from 1.
    pub attempt: i32,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// How.
    pub error: String,
}

/// What is parked, and why.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    /// Where the message was to go, or came from.
    pub subject: String,
    /// Its bytes, untouched.
    pub payload: Bytes,
    /// The headers it came with.
    pub headers: Vec<(String, String)>,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// Parking the same message twice stores it once: deterministic, `dlq:<what it is>`.
    pub message_id: String,
    /// A stable word for machines.
    pub reason: String,
    /// For people.
    pub error: String,
    /// Its sequence in the stream that it came from.
    pub stream_sequence: Option<u64>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

/// Parks messages through one publisher.
#[derive(Debug, Clone)]
pub struct Parker(Publisher);

impl Parker {
    /// Parks through this publisher.
    #[must_use]
    pub const fn new(publisher: Publisher) -> Self {
        Self(publisher)
    }

    /// Parks what a worker was given. `why` is `<reason>: <error>`, with a word of `a-z` and `_` as the reason, or free text.
    ///
    /// # Errors
    /// As [`Publisher::publish`]; then the original must not be acknowledged.
    pub async fn park(&self, delivery: &Delivery, why: &str) -> Result<Acked, Error> {
        let (reason, error) = split(why);
        let published = delivery.published_at.timestamp_nanos_opt().unwrap_or_default();
        self.park_letter(Letter {
            subject: delivery.subject.clone(),
            payload: delivery.payload.clone(),
            headers: delivery.headers.to_vec(),
            traceparent: delivery.traceparent.clone(),
            // The time tells two epochs of one stream apart.
            message_id: format!("dlq:{}:{}:{published}", delivery.stream, delivery.stream_sequence),
            reason: reason.into(),
            error: error.into(),
            stream_sequence: Some(delivery.stream_sequence),
            attempts: Vec::new(),
        })
        .await
    }

    /// Parks any message.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn park_letter(&self, letter: Letter) -> Result<Acked, Error> {
        point("deadletter.park", Moment::Before);
        let outgoing = outgoing(letter);
        let (subject, id) = (outgoing.subject.clone(), outgoing.message_id.clone());
        let mut publishing = pin!(self.0.publish(outgoing));
        let sent = futures::poll!(publishing.as_mut());
        point("deadletter.park", Moment::During);
        let acked = match sent {
            Poll::Ready(acked) => acked,
            Poll::Pending => publishing.await,
        }?;
        point("deadletter.park", Moment::After);
        tracing::warn!(dlq.subject = %subject, dlq.id = %id, dlq.sequence = acked.sequence, "parked a message");
        Ok(acked)
    }
}

fn split(why: &str) -> (&str, &str) {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    match why.split_once(": ") {
        Some((reason, error)) if is_word(reason) => (reason, error),
        _ if is_word(why) => (why, why),
        _ => ("parked", why),
    }
}

fn outgoing(letter: Letter) -> Outgoing {
    let mut headers = Vec::with_capacity(letter.headers.len() + 5);
    for (name, value) in letter.headers {
        let is_order = name.to_ascii_lowercase().starts_with("nats-");
        headers.push(if is_order { (format!("{ORIGINAL_PREFIX}{name}"), value) } else { (name, value) });
    }
    headers.push((REASON.into(), letter.reason));
    headers.push((ERROR.into(), shortened(&letter.error, LONGEST_ERROR)));
    headers.push((ORIGINAL_SUBJECT.into(), letter.subject.clone()));
    if let Some(sequence) = letter.stream_sequence {
        headers.push((STREAM_SEQUENCE.into(), sequence.to_string()));
    }
    if !letter.attempts.is_empty() {
        headers.push((ATTEMPTS.into(), history(letter.attempts)));
    }
    Outgoing {
        subject: subject::dead_letter(&letter.subject),
        message_id: letter.message_id,
        traceparent: letter.traceparent,
        headers,
        payload: letter.payload,
    }
}

/// The latest attempts, each short enough that all of them fit a header.
fn history(attempts: Vec<Attempt>) -> String {
    let skip = attempts.len().saturating_sub(MOST_ATTEMPTS);
    let short = |a: Attempt| Attempt { error: shortened(&a.error, LONGEST_ATTEMPT), ..a };
    let latest = attempts.into_iter().skip(skip).map(short).collect::<Vec<_>>();
    serde_json::to_string(&latest).unwrap_or_default() // plain strings and numbers always serialise
}

fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.into();
    }
    let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}
