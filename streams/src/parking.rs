//! Parks messages that cannot be processed: the exact bytes go to the dead-letter stream, with their headers
//! and the reason. The original may only be acknowledged once that stream has acknowledged the copy.

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

/// Header: a machine-readable reason, such as `undecodable`.
pub const REASON: &str = "Streamspace-Reason";
/// Header: the error, for people.
pub const ERROR: &str = "Streamspace-Error";
/// Header: the original subject.
pub const ORIGINAL_SUBJECT: &str = "Streamspace-Original-Subject";
/// Header: the sequence in the original stream.
pub const STREAM_SEQUENCE: &str = "Streamspace-Stream-Sequence";
/// Header: the failed attempts, as a JSON array of [`Attempt`].
pub const ATTEMPTS: &str = "Streamspace-Attempts";
/// Header: how often the same message had occurred when it was parked, if more than once.
pub const REPEATS: &str = "Streamspace-Repeats";
/// Header of a corrected message: the id of its dead letter.
pub const EDITED_LETTER: &str = "Streamspace-Edited-Letter";
/// Header: the engine's signature, which distinguishes what it has parked itself from what anyone else
/// published there.
pub const SIGNATURE: &str = "Streamspace-Signature";
/// Bytes reserved for the header with the signature.
const SIGNATURE_ROOM: usize = 128;
/// Prefix for the original's `Nats-*` headers, which the server would otherwise interpret.
pub const ORIGINAL_PREFIX: &str = "Streamspace-Original-";

/// Header: the original size of a payload that was cut.
pub const PAYLOAD_CUT: &str = "Streamspace-Payload-Bytes";
/// Header: the number of headers that were left out because they did not fit.
pub const HEADERS_CUT: &str = "Streamspace-Headers-Left-Out";

/// Bytes of a message's own headers that are kept. JetStream allows 64 KiB of headers; the rest is for those
/// that parking adds.
const MOST_HEADERS: usize = 32 << 10;
/// Maximum bytes of the headers that `cloudevents`, the trace and the server add, including their line overhead.
const ADDED: usize = 4 << 10;
const LONGEST_REASON: usize = 60;
const LONGEST_ERROR: usize = 2048;
/// Maximum bytes of a header of a public copy.
const LONGEST_COPIED: usize = 8 << 10;
const MOST_ATTEMPTS: usize = 20;
const LONGEST_ATTEMPT: usize = 200;

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Number, counted from 1.
    pub attempt: i32,
    /// Time of the failure.
    pub at: DateTime<Utc>,
    /// Error message.
    pub error: String,
}

/// A message to park, and the reason.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    /// Its original subject.
    pub subject: String,
    /// Its bytes, unchanged.
    pub payload: Bytes,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// Derived from the message (`dlq:<what it is>`), so that parking it twice stores it once.
    pub message_id: String,
    /// A machine-readable reason.
    pub reason: String,
    /// The error, for people.
    pub error: String,
    /// Its sequence in its original stream.
    pub stream_sequence: Option<u64>,
    /// The failed attempts.
    pub attempts: Vec<Attempt>,
}

/// The key with which the engines of an installation sign what they park. Anyone who may publish can put a
/// message into the dead-letter stream under any subject; a signature proves that it came from that subject.
#[derive(Clone)]
pub struct Key(Arc<hmac::Key>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// Derives the key from a secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The signature of a letter, in hexadecimal.
    #[must_use]
    pub fn sign(&self, subject: &str, message_id: &str, payload: &[u8]) -> String {
        let tag = hmac::sign(&self.0, &signed(subject, message_id, payload));
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Verifies the signature of a letter.
    #[must_use]
    pub fn has_signed(&self, signature: &str, subject: &str, message_id: &str, payload: &[u8]) -> bool {
        let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let tag: Option<Vec<u8>> = signature.as_bytes().chunks(2).map(pair).collect();
        tag.is_some_and(|tag| hmac::verify(&self.0, &signed(subject, message_id, payload), &tag).is_ok())
    }
}

/// The signed bytes: each part is preceded by its length, so that no two letters have the same bytes.
fn signed(subject: &str, message_id: &str, payload: &[u8]) -> Vec<u8> {
    let parts = [subject.as_bytes(), message_id.as_bytes(), payload];
    parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.iter().copied())).collect()
}

/// Parks messages through a publisher.
#[derive(Debug, Clone)]
pub struct Parker {
    publisher: Publisher,
    key: Option<Key>,
}

impl Parker {
    /// Parks without signatures.
    #[must_use]
    pub const fn new(publisher: Publisher) -> Self {
        Self { publisher, key: None }
    }

    /// Parks and signs.
    #[must_use]
    pub const fn signing(publisher: Publisher, key: Key) -> Self {
        Self { publisher, key: Some(key) }
    }

    /// Parks a delivered message. `why` is `<reason>: <error>`, with a reason of `a-z` and `_`, or free text.
    ///
    /// # Errors
    /// See [`Publisher::publish`]; the original must not be acknowledged then.
    pub async fn park(&self, delivery: &Delivery, why: &str) -> Result<Acked, Error> {
        let (reason, error) = split(why);
        let published = delivery.published_at.timestamp_nanos_opt().unwrap_or_default();
        self.park_letter(Letter {
            subject: delivery.subject.clone(),
            payload: delivery.payload.clone(),
            headers: delivery.headers.to_vec(),
            traceparent: delivery.traceparent.clone(),
            // The time distinguishes two epochs of the stream.
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
    /// See [`Publisher::publish`].
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

/// Builds the message for the dead-letter stream, within the server's limits.
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

/// The original headers to keep, and the number of those left out. Headers that the server interprets are prefixed.
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

/// Cuts the payload to what the server accepts, and records its original size.
fn fitted(mut outgoing: Outgoing, max_payload: usize) -> Outgoing {
    let headers: usize = outgoing.headers.iter().map(|(name, value)| line(name, value)).sum();
    let room = max_payload.saturating_sub(headers + ADDED);
    let bytes = outgoing.payload.len();
    if bytes > room {
        outgoing.payload.truncate(room);
        outgoing.headers.push((PAYLOAD_CUT.into(), bytes.to_string()));
        tracing::warn!(dlq.subject = %outgoing.subject, bytes, kept = room, "a parked message is too large and was cut");
    }
    outgoing
}

/// Bytes of a header line.
const fn line(name: &str, value: &str) -> usize {
    name.len() + value.len() + ": \r\n".len()
}

/// The public copy of a letter that is recorded in the database; `headers` describe it.
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

/// Parses [`ATTEMPTS`]; empty if it cannot be read.
#[must_use]
pub fn attempts(text: &str) -> Vec<Attempt> {
    let all: Vec<Attempt> = serde_json::from_str(text).unwrap_or_default();
    latest(all)
}

/// The latest attempts, shortened so that they fit into a header.
fn history(attempts: Vec<Attempt>) -> String {
    serde_json::to_string(&latest(attempts)).unwrap_or_default() // plain strings and numbers always serialise
}

fn latest(attempts: Vec<Attempt>) -> Vec<Attempt> {
    let skip = attempts.len().saturating_sub(MOST_ATTEMPTS);
    let short = |a: Attempt| Attempt { error: shortened(&a.error, LONGEST_ATTEMPT), ..a };
    attempts.into_iter().skip(skip).map(short).collect()
}

/// Shortens a text to `longest` bytes, with a mark.
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
