//! Parking what cannot be processed: the exact bytes go to the dead-letter stream, with the headers they came with and the
//! reason. Only after that stream acknowledged them may the original be acknowledged.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::connect::Link;
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
/// Header: how often the same message had come when it was parked, where that is more than once.
pub const REPEATS: &str = "Streamspace-Repeats";
/// Header of a corrected message: the id of the dead letter that it was.
pub const EDITED_LETTER: &str = "Streamspace-Edited-Letter";
/// Header: the engine's own signature, so that it knows what it has parked itself from what anyone has put there.
pub const SIGNATURE: &str = "Streamspace-Signature";
/// Bytes of a header with a signature, and some to spare.
const SIGNATURE_ROOM: usize = 128;
/// Prefix of the original's `Nats-*` headers: as they stood they would give the server orders.
pub const ORIGINAL_PREFIX: &str = "Streamspace-Original-";

/// Header: how many bytes the payload had, where not all of them fit.
pub const PAYLOAD_CUT: &str = "Streamspace-Payload-Bytes";
/// Header: how many headers were left out, where not all of them fit.
pub const HEADERS_CUT: &str = "Streamspace-Headers-Left-Out";

/// Bytes of a message's own headers that are kept. JetStream takes 64 KiB of headers, and the rest is for those that parking adds.
const MOST_HEADERS: usize = 32 << 10;
/// What `cloudevents`, the trace and the server add to headers, and their lines take, in bytes at most.
const ADDED: usize = 4 << 10;
const LONGEST_REASON: usize = 60;
const LONGEST_ERROR: usize = 2048;
/// Longest header of a public copy, in bytes.
const LONGEST_COPIED: usize = 8 << 10;
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

/// What the engines of one installation sign with that which they park. Anyone who may publish can put something into the
/// dead-letter stream under any subject; only what is signed was on that subject before.
#[derive(Clone)]
pub struct Key(Arc<hmac::Key>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// The key of a secret, which nobody else may know.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The signature of a letter, in hexadecimal digits.
    #[must_use]
    pub fn sign(&self, subject: &str, message_id: &str, payload: &[u8]) -> String {
        let tag = hmac::sign(&self.0, &signed(subject, message_id, payload));
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a signature is this key's for that letter.
    #[must_use]
    pub fn has_signed(&self, signature: &str, subject: &str, message_id: &str, payload: &[u8]) -> bool {
        let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let tag: Option<Vec<u8>> = signature.as_bytes().chunks(2).map(pair).collect();
        tag.is_some_and(|tag| hmac::verify(&self.0, &signed(subject, message_id, payload), &tag).is_ok())
    }
}

/// What is signed: each part with its length, so that no two letters are the same bytes.
fn signed(subject: &str, message_id: &str, payload: &[u8]) -> Vec<u8> {
    let parts = [subject.as_bytes(), message_id.as_bytes(), payload];
    parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.iter().copied())).collect()
}

/// Parks messages through one publisher.
#[derive(Debug, Clone)]
pub struct Parker {
    publisher: Publisher,
    key: Option<Key>,
}

impl Parker {
    /// Parks through this publisher.
    #[must_use]
    pub const fn new(publisher: Publisher) -> Self {
        Self { publisher, key: None }
    }

    /// Parks through this publisher, and signs what it parks.
    #[must_use]
    pub const fn signing(publisher: Publisher, key: Key) -> Self {
        Self { publisher, key: Some(key) }
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
        let max_payload = self.publisher.link().client.max_payload();
        let (original, room) = (letter.subject.clone(), max_payload.saturating_sub(SIGNATURE_ROOM));
        let mut outgoing = outgoing(letter, if self.key.is_some() { room } else { max_payload });
        outgoing.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(SIGNATURE));
        if let Some(key) = &self.key {
            let signature = key.sign(&original, &outgoing.message_id, &outgoing.payload);
            outgoing.headers.push((SIGNATURE.to_owned(), signature));
        }
        let (subject, id) = (outgoing.subject.clone(), outgoing.message_id.clone());
        let mut publishing = pin!(self.publisher.publish(outgoing));
        let sent = futures::poll!(publishing.as_mut());
        point("deadletter.park", Moment::During);
        let acked = match sent {
            Poll::Ready(acked) => acked,
            Poll::Pending => publishing.await,
        };
        let acked = acked.inspect_err(|_| self.publisher.metrics().unparked())?;
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

/// The message that a letter becomes; it fits the server's limits whatever is in the letter.
fn outgoing(letter: Letter, max_payload: usize) -> Outgoing {
    let (mut headers, left_out) = kept(letter.headers);
    headers.push((REASON.into(), shortened(&letter.reason, LONGEST_REASON)));
    headers.push((ERROR.into(), shortened(&letter.error, LONGEST_ERROR)));
    headers.push((ORIGINAL_SUBJECT.into(), letter.subject.clone()));
    if let Some(sequence) = letter.stream_sequence {
        headers.push((STREAM_SEQUENCE.into(), sequence.to_string()));
    }
    if !letter.attempts.is_empty() {
        headers.push((ATTEMPTS.into(), history(letter.attempts)));
    }
    if left_out > 0 {
        headers.push((HEADERS_CUT.into(), left_out.to_string()));
    }
    let outgoing = Outgoing {
        subject: subject::dead_letter(&letter.subject),
        message_id: letter.message_id,
        traceparent: letter.traceparent,
        headers,
        payload: letter.payload,
    };
    fitted(outgoing, max_payload)
}

/// The headers of the original that are kept, and how many are not. Orders to the server are only quoted.
fn kept(all: Vec<(String, String)>) -> (Vec<(String, String)>, usize) {
    let (mut kept, mut left_out, mut bytes) = (Vec::with_capacity(all.len() + 7), 0, 0);
    for (name, value) in all {
        let is_order = name.to_ascii_lowercase().starts_with("nats-");
        let name = if is_order { format!("{ORIGINAL_PREFIX}{name}") } else { name };
        let takes = line(&name, &value);
        if bytes + takes > MOST_HEADERS {
            left_out += 1;
            continue;
        }
        bytes += takes;
        kept.push((name, value));
    }
    (kept, left_out)
}

/// A message for the dead-letter stream that the server takes: what does not fit of the payload is cut off, and that is said.
fn fitted(mut outgoing: Outgoing, max_payload: usize) -> Outgoing {
    let headers: usize = outgoing.headers.iter().map(|(name, value)| line(name, value)).sum();
    let room = max_payload.saturating_sub(headers + ADDED);
    let bytes = outgoing.payload.len();
    if bytes > room {
        outgoing.payload.truncate(room);
        outgoing.headers.push((PAYLOAD_CUT.into(), bytes.to_string()));
        tracing::warn!(dlq.subject = %outgoing.subject, bytes, kept = room, "a parked message is too large to be kept whole");
    }
    outgoing
}

/// What a header takes.
const fn line(name: &str, value: &str) -> usize {
    name.len() + value.len() + ": \r\n".len()
}

/// The public copy of what was recorded elsewhere: `headers` say what it is.
#[must_use]
pub fn copy(
    subject: &str,
    message_id: String,
    headers: Vec<(String, String)>,
    payload: Bytes,
    link: &Link,
) -> Outgoing {
    let short = |(name, value): (String, String)| (name, shortened(&value, LONGEST_COPIED));
    let headers = headers.into_iter().map(short).collect();
    let outgoing = Outgoing { subject: subject::dead_letter(subject), message_id, traceparent: None, headers, payload };
    fitted(outgoing, link.client.max_payload())
}

/// What was tried, as [`ATTEMPTS`] says it; nothing where that cannot be read.
#[must_use]
pub fn attempts(text: &str) -> Vec<Attempt> {
    let all: Vec<Attempt> = serde_json::from_str(text).unwrap_or_default();
    latest(all)
}

/// The latest attempts, each short enough that all of them fit a header.
fn history(attempts: Vec<Attempt>) -> String {
    serde_json::to_string(&latest(attempts)).unwrap_or_default() // plain strings and numbers always serialise
}

fn latest(attempts: Vec<Attempt>) -> Vec<Attempt> {
    let skip = attempts.len().saturating_sub(MOST_ATTEMPTS);
    let short = |a: Attempt| Attempt { error: shortened(&a.error, LONGEST_ATTEMPT), ..a };
    attempts.into_iter().skip(skip).map(short).collect()
}

/// A text of at most so many bytes, with a mark where it was longer.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.into();
    }
    let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn only_the_same_key_has_signed_a_letter_and_only_that_letter() {
        let (key, other) = (Key::new(b"ours"), Key::new(b"theirs"));
        let signature = key.sign("a.b", "dlq:1", b"{}");
        assert!(key.has_signed(&signature, "a.b", "dlq:1", b"{}"));
        assert!(!other.has_signed(&signature, "a.b", "dlq:1", b"{}"));
        for (subject, id, payload) in
            [("a.c", "dlq:1", "{}"), ("a.b", "dlq:2", "{}"), ("a.b", "dlq:1", "[]"), ("a.bdlq:1", "", "{}")]
        {
            assert!(!key.has_signed(&signature, subject, id, payload.as_bytes()), "{subject} {id} {payload}");
        }
        for nonsense in ["", "zz", "é", "0", &signature[2..]] {
            assert!(!key.has_signed(nonsense, "a.b", "dlq:1", b"{}"), "{nonsense:?}");
        }
    }
}
