//! Sample payloads: those of the contract where it has one, otherwise serialized types.

use chrono::DateTime;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::wire::{
    Answer, AppUninstall, HeartbeatAnswer, LogEnd, NodeCommand, NodeState, NodeStatus, Question, SessionCommand, Span,
    Sync, TemplateCreate, TemplateDelete, World,
};

const ID: Uuid = Uuid::from_u128(0x0190_d0f0_7b4e_7c62_a1f0_0242_ac12_0002);
const OTHER_ID: Uuid = Uuid::from_u128(0x0190_d0f0_7b4e_7c62_a1f0_0242_ac12_0003);

/// The sample of `<domain>.<action>`.
pub(super) fn payload(name: &str) -> Value {
    match name {
        "session.create" | "session.wake" => sample(include_str!("../../contract/session.create.json")),
        "session.status" => sample(include_str!("../../contract/session.status.json")),
        "app.install" => sample(include_str!("../../contract/app.install.json")),
        "app.status" => sample(include_str!("../../contract/app.status.json")),
        "controller.heartbeat" => sample(include_str!("../../contract/controller.heartbeat.json")),
        "session.delete" | "session.hibernate" => written(&session_command()),
        "app.uninstall" => written(&AppUninstall {
            event_id: ID,
            timestamp: DateTime::UNIX_EPOCH,
            install_id: OTHER_ID,
            template_name: "firefox-browser".into(),
            platform: "kubernetes".into(),
            generation: 2,
            attempt: 1,
        }),
        "template.create" => written(&template()),
        "template.delete" => written(&TemplateDelete {
            event_id: ID,
            timestamp: DateTime::UNIX_EPOCH,
            template_name: "firefox-browser".into(),
            platform: "kubernetes".into(),
        }),
        "node.cordon" | "node.uncordon" | "node.drain" => written(&node_command(name)),
        "node.status" => written(&node_status()),
        "controller.world" => written(&world()),
        "controller.sync" => written(&Sync { event_id: ID, timestamp: DateTime::UNIX_EPOCH }),
        "controller.heartbeat answer" => written(&HeartbeatAnswer { accepted: true, reason: None, own_subjects: true }),
        "controller.ask" => written(&Question::Log { session_id: OTHER_ID, bytes: 4096 }),
        "controller.ask answer" => {
            let log = LogEnd { text: "listening on 20001\n".into(), kept_bytes: 19 };
            written(&Answer { log: Some(log), ..Answer::default() })
        }
        "intake_request" => json!({ "template_id": "scratchpad" }),
        _ => json!({ "session_id": OTHER_ID, "user_id": "ada", "status": "pending" }),
    }
}

/// Samples contain "uuid" in place of a real one.
fn sample(text: &str) -> Value {
    serde_json::from_str(&text.replace("\"uuid\"", &format!("\"{ID}\""))).unwrap_or_default() // covered by a test
}

fn written(payload: &impl Serialize) -> Value {
    serde_json::to_value(payload).unwrap_or_default() // plain data always serialises
}

fn session_command() -> SessionCommand {
    SessionCommand {
        event_id: ID,
        timestamp: DateTime::UNIX_EPOCH,
        session_id: OTHER_ID,
        user_id: "user1".into(),
        platform: "kubernetes".into(),
        force: None,
        generation: 2,
        attempt: 1,
    }
}

fn template() -> TemplateCreate {
    TemplateCreate {
        event_id: ID,
        timestamp: DateTime::UNIX_EPOCH,
        template_name: "firefox-browser".into(),
        display_name: "Firefox Web Browser".into(),
        category: "Web Browsers".into(),
        base_image: "lscr.io/linuxserver/firefox:latest".into(),
        manifest: "apiVersion: stream.space/v1alpha1\nkind: Template\n...".into(),
        platform: "kubernetes".into(),
    }
}

fn node_command(name: &str) -> NodeCommand {
    let grace_period_seconds = (name == "node.drain").then_some(300);
    NodeCommand { event_id: ID, timestamp: DateTime::UNIX_EPOCH, node_name: "node-1".into(), grace_period_seconds }
}

fn node_status() -> NodeStatus {
    NodeStatus {
        event_id: ID,
        timestamp: DateTime::UNIX_EPOCH,
        node_name: "node-1".into(),
        status: NodeState::Ready,
        sessions: 3,
        capacity: None,
    }
}

fn world() -> World {
    World {
        event_id: ID,
        timestamp: DateTime::UNIX_EPOCH,
        controller_id: "host-1".into(),
        platform: "docker".into(),
        sync_id: OTHER_ID,
        instance_id: OTHER_ID,
        world_id: Some(OTHER_ID),
        part: 0,
        last: true,
        span: Some(Span { from: Uuid::nil(), until: None }),
        sessions: Vec::new(),
    }
}
