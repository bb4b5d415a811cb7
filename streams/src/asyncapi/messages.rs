//! Messages: one for each verb and report, and those outside of streams.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::{Parts, examples};
use crate::cloudevents::event_type;
use crate::subject::{Report, Verb};
use crate::wire;

/// Name of the reply to a heartbeat within the document.
pub(super) const HEARTBEAT_ANSWER: &str = "controller_heartbeat_answer";

/// Name of the reply to a question within the document.
pub(super) const QUESTION_ANSWER: &str = "controller_ask_answer";

/// `<domain>.<action>` as a key of the document.
pub(super) fn key(name: &str) -> String {
    name.replace('.', "_")
}

/// All messages.
pub(super) fn all(schemas: &mut SchemaGenerator) -> Parts {
    let commands = Verb::ALL.map(|verb| (verb.name(), command(verb, schemas)));
    let reports = Report::ALL.map(|report| (report.name(), self::report(report, schemas)));
    let others = [
        ("controller.heartbeat", schemas.subschema_for::<wire::Heartbeat>()),
        ("controller.sync", schemas.subschema_for::<wire::Sync>()),
        ("controller.ask", schemas.subschema_for::<wire::Question>()),
    ];
    let mut all = Parts::new();
    for (name, payload) in commands.into_iter().chain(reports).chain(others) {
        all.insert(key(name), event(name, &payload));
    }
    all.insert(HEARTBEAT_ANSWER.into(), heartbeat_answer(&of::<wire::HeartbeatAnswer>(schemas)));
    all.insert(QUESTION_ANSWER.into(), question_answer(&of::<wire::Answer>(schemas)));
    all.insert("dead_letter".into(), dead_letter());
    all.insert("intake_request".into(), intake("intake_request", "A request.", REQUEST));
    all.insert("intake_reply".into(), intake("intake_reply", "The response, as over HTTP.", REPLY));
    all
}

fn command(verb: Verb, schemas: &mut SchemaGenerator) -> Schema {
    match verb {
        Verb::SessionCreate | Verb::SessionWake => of::<wire::SessionCreate>(schemas),
        Verb::SessionDelete | Verb::SessionHibernate => of::<wire::SessionCommand>(schemas),
        Verb::AppInstall => of::<wire::AppInstall>(schemas),
        Verb::AppUninstall => of::<wire::AppUninstall>(schemas),
        Verb::TemplateDelete => of::<wire::TemplateDelete>(schemas),
        Verb::NodeCordon | Verb::NodeUncordon | Verb::NodeDrain => of::<wire::NodeCommand>(schemas),
    }
}

fn report(report: Report, schemas: &mut SchemaGenerator) -> Schema {
    match report {
        Report::SessionStatus => of::<wire::SessionStatus>(schemas),
        Report::AppStatus => of::<wire::AppStatus>(schemas),
        Report::NodeStatus => of::<wire::NodeStatus>(schemas),
        Report::TemplateCreate => of::<wire::TemplateCreate>(schemas),
        Report::ControllerWorld => of::<wire::World>(schemas),
    }
}

fn of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

fn event(name: &str, payload: &Schema) -> Value {
    let kind = event_type(&format!("streamspace.{name}"));
    json!({
        "name": kind,
        "title": name,
        "contentType": "application/json",
        "payload": payload,
        "traits": [{ "$ref": "#/components/messageTraits/event" }],
        "examples": [{ "name": "sample", "payload": examples::payload(name) }],
    })
}

fn heartbeat_answer(payload: &Schema) -> Value {
    let title = "controller.heartbeat answer";
    json!({
        "name": HEARTBEAT_ANSWER,
        "title": title,
        "summary": "Whether the host may work under its id. There is no reply while the database is unavailable.",
        "contentType": "application/json",
        "payload": payload,
        "examples": [{ "name": "sample", "payload": examples::payload(title) }],
    })
}

fn question_answer(payload: &Schema) -> Value {
    let title = "controller.ask answer";
    json!({
        "name": QUESTION_ANSWER,
        "title": title,
        "summary": "The requested data, or an error.",
        "contentType": "application/json",
        "payload": payload,
        "examples": [{ "name": "sample", "payload": examples::payload(title) }],
    })
}

fn dead_letter() -> Value {
    json!({
        "name": "dead_letter",
        "title": "dead letter",
        "summary": "The exact bytes of a message that could not be processed, with its original headers.",
        "traits": [
            { "$ref": "#/components/messageTraits/event" },
            { "$ref": "#/components/messageTraits/dead_letter" },
        ],
    })
}

const REQUEST: &str =
    "The fields of the operation's path, query and body in /openapi.json, in one object; empty is {}.";
const REPLY: &str = "The body of the operation's response in /openapi.json; if `Status` is 400 or more, a Problem.";

fn intake(name: &str, summary: &str, description: &str) -> Value {
    json!({
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": { "description": description },
        "traits": [{ "$ref": format!("#/components/messageTraits/{name}") }],
        "examples": [{ "name": "sample", "payload": examples::payload(name) }],
    })
}
