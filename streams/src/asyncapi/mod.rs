//! The wire contract as an AsyncAPI 3 document, from the engine's point of view: what it sends, receives and answers.
//!
//! Subjects come from `subject`, streams from `topology` and schemas from the types of `wire`, so the document
//! cannot deviate from the code. `asyncapi.json` in this crate is a snapshot, which a test compares.

mod channels;
mod examples;
mod headers;
mod messages;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::topology::{self, STREAMS};

/// Parts of the document by name.
type Parts = Map<String, Value>;

/// The document as JSON with sorted keys.
#[must_use]
pub fn document(version: &str) -> String {
    let mut schemas = generator();
    let messages = messages::all(&mut schemas);
    let (channels, operations) = channels::all();
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "StreamSpace",
            "version": version,
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": { "nats": {
            "host": "localhost:4222",
            "protocol": "nats",
            "description": "NATS 2.12 or newer with JetStream, at NATS_URL.",
        } },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "messageTraits": headers::traits(),
            "parameters": channels::parameters(),
            "schemas": schemas.take_definitions(true),
        },
        "x-streamspace-streams": streams(),
    });
    document.sort_all_objects(); // the order of maps depends on a feature that other crates may enable
    serde_json::to_string_pretty(&document).unwrap_or_default() // text, numbers and objects always serialise
}

const DESCRIPTION: &str = "The messages between the engine and its controllers over NATS, and the requests of clients over NATS. \
    The durable lane (five tokens) is on JetStream; the core lane (four tokens), heartbeats, sync and intake are plain NATS. \
    Fields may be added, never renamed: ignore those that you do not know.";

fn generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = "/components/schemas".into();
    settings.into_generator()
}

/// The streams behind the channels.
fn streams() -> Parts {
    let about = |name: &str| {
        json!({
            "subjects": topology::subjects(name),
            "retention": format!("{:?}", topology::retention(name)).to_lowercase(),
            "discard": "new",
            "storage": "file",
        })
    };
    STREAMS.into_iter().map(|name| (name.to_owned(), about(name))).collect()
}
