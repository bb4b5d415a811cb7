//! Headers: those of all events, of dead letters, and of requests over NATS.

use serde_json::{Value, json};

use super::Parts;
use crate::cloudevents::{CONTENT_TYPE, REQUIRED, SUBJECT};
use crate::parking::{ATTEMPTS, EDITED_LETTER, ERROR, ORIGINAL_PREFIX, ORIGINAL_SUBJECT, REASON, STREAM_SEQUENCE};
use crate::trace;

type Described = (&'static str, &'static str);

const MESSAGE_ID: Described = ("Nats-Msg-Id", "Message id for deduplication; `event_id:attempt` for a command.");
const EDITED: Described = (EDITED_LETTER, "On a report that an operator corrected: the id of its dead letter.");
const TRACE: Described = (trace::HEADER, "W3C trace context.");

const LETTER: [Described; 5] = [
    (REASON, "A machine-readable reason, such as `undecodable`."),
    (ERROR, "The error, for people."),
    (ORIGINAL_SUBJECT, "The original subject of the message."),
    (STREAM_SEQUENCE, "Its sequence in its original stream."),
    (ATTEMPTS, "The failed attempts, as a JSON array of attempt, at and error."),
];

const REQUEST: [Described; 4] = [
    ("Idempotency-Key", "The same key and payload get the same answer."),
    ("If-Match", "The ETag that the resource must have."),
    TRACE,
    ("Nats-Msg-Id", "Used as the key if there is no Idempotency-Key."),
];

const REPLY: [Described; 5] = [
    ("Status", "The HTTP status of the response."),
    ("Content-Type", "application/problem+json if the request was refused."),
    ("Location", "The URL of the created resource."),
    ("ETag", "The version of the returned resource."),
    ("Retry-After", "Seconds to wait before the request is repeated."),
];

/// Header sets as message traits.
pub(super) fn traits() -> Parts {
    let events = REQUIRED.into_iter().chain([SUBJECT, CONTENT_TYPE]);
    let events = events.map(|name| (name, "CloudEvents 1.0, NATS protocol binding, binary mode."));
    let mut all = Parts::new();
    all.insert("event".into(), headers(events.chain([MESSAGE_ID, TRACE, EDITED])));
    let mut letter = headers(LETTER.into_iter());
    let original = json!({ "type": "string", "description": "A `Nats-*` header of the original message." });
    letter["headers"]["patternProperties"] = json!({ (format!("^{ORIGINAL_PREFIX}")): original });
    all.insert("dead_letter".into(), letter);
    all.insert("intake_request".into(), headers(REQUEST.into_iter()));
    all.insert("intake_reply".into(), headers(REPLY.into_iter()));
    all
}

fn headers(described: impl Iterator<Item = Described>) -> Value {
    let one =
        |(name, description): Described| (name.to_owned(), json!({ "type": "string", "description": description }));
    let properties: Parts = described.map(one).collect();
    json!({ "headers": { "type": "object", "properties": properties } })
}
