//! With which headers: those of every event, of dead letters, and of intake.

use serde_json::{Value, json};

use super::Parts;
use crate::cloudevents::{CONTENT_TYPE, REQUIRED, SUBJECT};
use crate::parking::{ATTEMPTS, EDITED_LETTER, ERROR, ORIGINAL_PREFIX, ORIGINAL_SUBJECT, REASON, STREAM_SEQUENCE};
use crate::trace;

type Described = (&'static str, &'static str);

const MESSAGE_ID: Described = ("Nats-Msg-Id", "The same id is stored once; `event_id:attempt` for a command.");
const EDITED: Described =
    (EDITED_LETTER, "On a report that an operator corrected: the id of the dead letter that it was.");
const TRACE: Described = (trace::HEADER, "W3C trace context.");

const LETTER: [Described; 5] = [
    (REASON, "A stable word for machines, such as `undecodable`."),
    (ERROR, "The error, for people."),
    (ORIGINAL_SUBJECT, "Where the message was to go."),
    (STREAM_SEQUENCE, "Its sequence in the stream that it came from."),
    (ATTEMPTS, "What was tried, as a JSON array of attempt, at and error."),
];

const REQUEST: [Described; 4] = [
    ("Idempotency-Key", "The same key and payload get the same answer."),
    ("If-Match", "The ETag that the resource must have."),
    TRACE,
    ("Nats-Msg-Id", "The key where there is no Idempotency-Key."),
];

const REPLY: [Described; 5] = [
    ("Status", "The status that HTTP would answer with."),
    ("Content-Type", "application/problem+json where the request was refused."),
    ("Location", "Where what was created can be read over HTTP."),
    ("ETag", "The version of what is shown."),
    ("Retry-After", "Seconds after which to ask again."),
];

/// The headers of each sort of message.
pub(super) fn traits() -> Parts {
    let events = REQUIRED.into_iter().chain([SUBJECT, CONTENT_TYPE]);
    let events = events.map(|name| (name, "CloudEvents 1.0, NATS protocol binding, binary mode."));
    let mut all = Parts::new();
    all.insert("event".into(), headers(events.chain([MESSAGE_ID, TRACE, EDITED])));
    let mut letter = headers(LETTER.into_iter());
    let original = json!({ "type": "string", "description": "A `Nats-*` header of the original." });
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
