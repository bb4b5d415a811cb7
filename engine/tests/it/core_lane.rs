//! A controller written from the contract's table alone: plain core NATS, no acknowledgements, nothing echoed.

use std::time::Duration;

use engine::writer::Ask;
use futures::StreamExt;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{PLATFORM, Rig, eventually};

/// Subscribes to what the table names for a platform.
async fn commands(rig: &Rig) -> async_nats::Subscriber {
    let subscriber = rig.client.subscribe(format!("streamspace.session.*.{PLATFORM}")).await.expect("subscribed");
    rig.client.flush().await.expect("flushed");
    subscriber
}

async fn announce(rig: &Rig) {
    let beat = json!({ "controller_id": "plain_1", "platform": PLATFORM, "timestamp": "2026-01-01T00:00:00Z",
        "status": "healthy", "version": "1.0.0", "capabilities": ["sessions"], "cluster_info": {} });
    rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
    let known = || async {
        let row = engine::queries::controller(rig.engine.reader(), "plain_1").await.expect("readable");
        row.filter(|row| row.status.as_deref() == Some("healthy"))
    };
    eventually("the controller is known", known).await;
}

async fn next(subscriber: &mut async_nats::Subscriber) -> (String, Value) {
    let message =
        tokio::time::timeout(Duration::from_secs(20), subscriber.next()).await.expect("in time").expect("open");
    (message.subject.to_string(), serde_json::from_slice(&message.payload).expect("JSON"))
}

/// A report with nothing but what the contract's sample has.
async fn say(rig: &Rig, session: &Value, status: &str) {
    let report = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "session_id": session,
        "status": status, "phase": "Running", "url": "https://ann.streamspace.local", "pod_name": "ss-ann",
        "message": "done", "resource_usage": { "memory": "512Mi", "cpu": "250m" } });
    rig.client.publish("streamspace.session.status", report.to_string().into()).await.expect("published");
}

#[tokio::test]
async fn a_controller_from_the_contracts_table_alone_does_a_full_lifecycle() {
    let rig = Rig::sqlite().await;
    let mut inbox = commands(&rig).await;
    announce(&rig).await;
    let id = rig.create().await.session_id;
    let steps = [
        (None, "session.create", "running"),
        (Some(Ask::Hibernate), "session.hibernate", "hibernated"),
        (Some(Ask::Wake), "session.wake", "running"),
        (Some(Ask::Delete { force: false }), "session.delete", "deleted"),
    ];
    for (ask, verb, goal) in steps {
        if let Some(ask) = ask {
            rig.engine.ask(id, ask).await.expect("accepted");
        }
        let (subject, command) = next(&mut inbox).await;
        assert_eq!(subject, format!("streamspace.{verb}.{PLATFORM}"));
        say(&rig, &command["session_id"], goal).await;
        rig.until(id, goal).await;
    }
    let commands = rig.commands(id).await;
    assert!(commands.iter().all(|(_, status)| status == "completed"), "{commands:?}");
}

#[tokio::test]
async fn silence_past_the_deadline_sends_the_same_event_again() {
    let rig = Rig::sqlite().await;
    let mut inbox = commands(&rig).await;
    announce(&rig).await;
    let id = rig.create().await.session_id;
    let (_, first) = next(&mut inbox).await;
    let published = || async { rig.commands(id).await.into_iter().find(|(_, status)| status == "published") };
    eventually("the command is marked", published).await;
    rig.clock.advance(Duration::from_secs(31));
    announce(&rig).await;
    let (_, again) = next(&mut inbox).await;
    assert_eq!(first["event_id"], again["event_id"]);
    say(&rig, &again["session_id"], "running").await;
    rig.until(id, "running").await;
}
