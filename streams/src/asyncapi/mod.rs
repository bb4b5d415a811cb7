//! The whole wire as an AsyncAPI 3 document, seen from the engine: what it sends, receives and answers.
//!
//! Subjects come from `subject`, streams from `topology`, schemas from the types of `wire` themselves, so that the document
//! cannot say what the code does not. `channels` says where, `messages` what, `headers` with which headers, `examples` for
//! instance. Kept as a snapshot in `asyncapi.json` of this room, which a test compares.

mod channels;
mod examples;
mod headers;
mod messages;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::topology::{self, STREAMS};

/// Parts of the document by their names.
type Parts = Map<String, Value>;

/// The document as JSON, its keys in order.
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
            "description": "NATS 2.12 or newer with JetStream, where NATS_URL says.",
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
    document.sort_all_objects(); // whether maps keep their order is a feature that other crates turn on
    serde_json::to_string_pretty(&document).unwrap_or_default() // text, numbers and objects always serialise
}

const DESCRIPTION: &str = "What the engine and its controllers say to each other over NATS, and how NATS-native clients ask. \
    The durable lane (five tokens) is on JetStream; the core lane (four tokens), heartbeats, sync and intake are plain NATS. \
    Fields may be added, never renamed: ignore those that you do not know.";

fn generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = "/components/schemas".into();
    settings.into_generator()
}

/// The streams behind the channels that name one.
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
