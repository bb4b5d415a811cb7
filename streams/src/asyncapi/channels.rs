//! Channels and operations: every subject, its stream, and who publishes and subscribes there.

use serde_json::{Value, json};

use super::Parts;
use super::messages::{HEARTBEAT_ANSWER, QUESTION_ANSWER, key};
use crate::subject::{DEAD_LETTER_PREFIX, HEARTBEAT, Report, Verb};
use crate::topology::{SS_COMMANDS, SS_DLQ, SS_REPORTS};

const PLATFORM: &str = "platform";
const CONTROLLER: &str = "controller_id";

/// A channel with one message, and the engine's operations on it.
struct Channel {
    key: String,
    address: Value,
    parameters: &'static [&'static str],
    message: String,
    stream: Option<&'static str>,
    summary: String,
    actions: &'static [&'static str],
    /// The channel for replies, if messages here are requests.
    answered: Option<&'static str>,
}

/// All channels, and all operations of the engine.
pub(super) fn all() -> (Parts, Parts) {
    let (mut channels, mut operations) = (Parts::new(), Parts::new());
    let all = Verb::ALL.into_iter().flat_map(commands).chain(Report::ALL.into_iter().flat_map(reports)).chain(others());
    for channel in all {
        for action in channel.actions {
            operations.insert(format!("{action}_{}", channel.key), operation(&channel, action));
        }
        channels.insert(channel.key.clone(), shown(channel));
    }
    operations.insert("receive_intake".into(), intake());
    (channels, operations)
}

/// Parameters of the addresses.
pub(super) fn parameters() -> Parts {
    let described = [
        (PLATFORM, "The platform: `[a-z0-9-]{1,32}`."),
        (CONTROLLER, "The controller: `[A-Za-z0-9-]{1,63}`."),
        ("original_subject", "The complete original subject of the message; several tokens."),
        ("user", "The requesting user, as guaranteed by the server's permissions: `[A-Za-z0-9_-]{1,64}`, not `admin`."),
        ("domain", "The noun of an operationId of /openapi.json in the singular, as `session`."),
        ("action", "Its verb, as `create`; `touch_session` is `session.activity`."),
    ];
    described.into_iter().map(|(name, description)| (name.into(), json!({ "description": description }))).collect()
}

/// Both lanes of a command.
fn commands(verb: Verb) -> [Channel; 2] {
    let (name, message) = (verb.name(), key(verb.name()));
    let durable = Channel {
        key: message.clone(),
        address: format!("streamspace.{name}.{{{PLATFORM}}}.{{{CONTROLLER}}}").into(),
        parameters: &[PLATFORM, CONTROLLER],
        message: message.clone(),
        stream: Some(SS_COMMANDS),
        summary: format!("{name} in the durable lane, to one controller."),
        actions: &["send"],
        answered: None,
    };
    let core = Channel {
        key: format!("{message}_core"),
        address: format!("streamspace.{name}.{{{PLATFORM}}}").into(),
        parameters: &[PLATFORM],
        message,
        stream: None,
        summary: format!("{name} in the core lane, to the only controller of a platform."),
        actions: &["send"],
        answered: None,
    };
    [durable, core]
}

/// Both lanes of a report.
fn reports(report: Report) -> [Channel; 2] {
    let (name, message) = (report.name(), key(report.name()));
    let durable = Channel {
        key: message.clone(),
        address: format!("streamspace.{name}.{{{PLATFORM}}}.{{{CONTROLLER}}}").into(),
        parameters: &[PLATFORM, CONTROLLER],
        message: message.clone(),
        stream: Some(SS_REPORTS),
        summary: format!("{name} from a controller of the durable lane."),
        actions: &["receive"],
        answered: None,
    };
    let bare = Channel {
        key: format!("{message}_core"),
        address: format!("streamspace.{name}").into(),
        parameters: &[],
        message,
        stream: Some(SS_REPORTS),
        summary: format!("{name} from a controller of the core lane."),
        actions: &["receive"],
        answered: None,
    };
    [durable, bare]
}

const HEARTBEATS: &str = "A sign of life; a newer heartbeat replaces an older one.";
const OWN_HEARTBEATS: &str = "The same on a subject that names its sender, so that NATS permissions can restrict it. An id that was used here \
                              is refused on the shared subject.";

fn others() -> [Channel; 9] {
    let plain = |key: &str, address: Value, summary: &str, actions| Channel {
        key: key.into(),
        address,
        parameters: &[],
        message: key.into(),
        stream: None,
        summary: summary.into(),
        actions,
        answered: None,
    };
    let sync = format!("streamspace.controller.sync.{{{PLATFORM}}}.{{{CONTROLLER}}}");
    let ask = format!("streamspace.controller.ask.{{{PLATFORM}}}.{{{CONTROLLER}}}");
    let own = format!("{HEARTBEAT}.{{{PLATFORM}}}.{{{CONTROLLER}}}");
    let letters = format!("{DEAD_LETTER_PREFIX}{{original_subject}}");
    let asked = "streamspace.intake.{user}.{domain}.{action}";
    [
        Channel {
            answered: Some(HEARTBEAT_ANSWER),
            ..plain("controller_heartbeat", HEARTBEAT.into(), HEARTBEATS, &["receive"])
        },
        Channel {
            message: "controller_heartbeat".into(),
            parameters: &[PLATFORM, CONTROLLER],
            answered: Some(HEARTBEAT_ANSWER),
            ..plain("controller_heartbeat_own", own.into(), OWN_HEARTBEATS, &["receive"])
        },
        plain(HEARTBEAT_ANSWER, Value::Null, "The reply inbox of a heartbeat that was sent as a request.", &[]),
        Channel {
            parameters: &[PLATFORM, CONTROLLER],
            ..plain("controller_sync", sync.into(), "Report the inventory, as controller.world.", &["send"])
        },
        Channel {
            parameters: &[PLATFORM, CONTROLLER],
            ..plain(
                "controller_ask",
                ask.into(),
                "Ask for what only the controller has: a log, homes, or the schema of its block in templates.",
                &["send"],
            )
        },
        plain(QUESTION_ANSWER, Value::Null, "The reply inbox of such a request.", &["receive"]),
        Channel {
            parameters: &["original_subject"],
            stream: Some(SS_DLQ),
            ..plain("dead_letter", letters.into(), "Messages that could not be processed.", &["send", "receive"])
        },
        Channel {
            parameters: &["user", "domain", "action"],
            ..plain("intake_request", asked.into(), "A client's request; answered after its commit.", &[])
        },
        plain("intake_reply", Value::Null, "The reply inbox of a request.", &[]),
    ]
}

fn shown(channel: Channel) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
    let parameters: Parts = channel.parameters.iter().map(|name| ((*name).to_owned(), reference(name))).collect();
    let message = json!({ "$ref": format!("#/components/messages/{}", channel.message) });
    let messages = Parts::from_iter([(channel.message, message)]);
    let mut shown = json!({
        "address": channel.address,
        "summary": channel.summary,
        "messages": messages,
        "x-streamspace": { "stream": channel.stream },
    });
    if !parameters.is_empty() {
        shown["parameters"] = parameters.into();
    }
    shown
}

fn at(channel: &str, message: &str) -> (Value, Value) {
    let message = format!("#/channels/{channel}/messages/{message}");
    (json!({ "$ref": format!("#/channels/{channel}") }), json!([{ "$ref": message }]))
}

fn operation(channel: &Channel, action: &str) -> Value {
    let (place, messages) = at(&channel.key, &channel.message);
    let mut shown = json!({ "action": action, "summary": channel.summary, "channel": place, "messages": messages });
    if let Some(answer) = channel.answered {
        shown["reply"] = reply(answer);
    }
    shown
}

/// The reply part of an operation: a channel with one message of the same name.
fn reply(name: &str) -> Value {
    let (channel, messages) = at(name, name);
    json!({ "channel": channel, "messages": messages })
}

fn intake() -> Value {
    let (place, messages) = at("intake_request", "intake_request");
    json!({
        "action": "receive",
        "summary": "A client's request over NATS; one engine of the queue group answers after the commit.",
        "channel": place,
        "messages": messages,
        "reply": reply("intake_reply"),
        "bindings": { "nats": { "queue": "engine" } },
    })
}
