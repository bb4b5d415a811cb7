//! What a database can never store ends at once: refused, or parked with its reason. Nobody waits for it.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{OWNER, PLATFORM, Rig, eventually, heartbeat};

/// A session that is running within a second: nothing holds the others up.
async fn others_go_on(rig: &Rig, controller: &mut crate::rig::Controller) {
    let begun = std::time::Instant::now();
    rig.running(controller).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "a start took {:?}", begun.elapsed());
}

/// How often messages were delivered again.
fn redelivered(rig: &Rig) -> u64 {
    let text = rig.engine.metrics();
    let lines = text.lines().filter(|line| line.starts_with("nats_msgs_redelivered_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[tokio::test]
async fn a_subject_too_long_to_park_under_costs_no_connection_and_is_parked() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let subject = format!("streamspace.session.status.{}.b", "a".repeat(4_045));
        rig.client.publish(subject.clone(), "{}".into()).await.expect("published");
        let letter = rig.dead_letter("undecodable").await;
        assert_eq!(letter.payload, b"{}");
        assert!(letter.subject.starts_with("streamspace.session.status.aaa"), "{}", letter.subject);
        assert!(letter.headers.to_string().contains(&subject), "the whole subject is in its headers");
        let far = format!("{}.reply", "r".repeat(3_900));
        let beat = heartbeat(2, controller.instance).to_string();
        rig.client.publish_with_reply("streamspace.controller.heartbeat", far, beat.into()).await.expect("published");
        others_go_on(&rig, &mut controller).await;
        assert_eq!(rig.engine.link().reconnects.count(), 0);
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_letter_that_anybody_puts_into_the_dead_letter_stream_is_recorded() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Streamspace-Reason", "r".repeat(300).as_str());
        headers.insert("Streamspace-Attempts", r#"[{"a":"\u0000"}]"#);
        headers.insert("Nats-Msg-Id", "m".repeat(400).as_str());
        headers.insert("traceparent", "t".repeat(400).as_str());
        let subject = format!("streamspace.dlq.streamspace.session.status.{}.{}", "p".repeat(300), "c".repeat(300));
        let body = json!({ "session_id": "x", "event_id": 1, "a": "\0" }).to_string();
        let jetstream = async_nats::jetstream::new(rig.client.clone());
        let sent = jetstream.publish_with_headers(subject, headers, body.clone().into()).await.expect("sent");
        sent.await.expect("stored");
        let letters = || async { Some(rig.dead_letters().await).filter(|all| !all.is_empty()) };
        let letters = eventually("it is recorded", letters).await;
        assert_eq!((letters.len(), letters[0].payload.as_slice()), (1, body.as_bytes()));
        assert_eq!((letters[0].platform.as_deref(), letters[0].controller_id.as_deref()), (None, None));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_heartbeat_whose_version_fits_no_column_is_taken_with_a_shortened_one() {
    let rig = Rig::postgres().await;
    let mut controller = rig.controller().await;
    let mut beat = heartbeat(2, Uuid::now_v7());
    beat["controller_id"] = json!("host-2");
    beat["version"] = json!("v".repeat(53));
    let mut inbox = rig.client.subscribe("answers").await.expect("subscribed");
    let subject = "streamspace.controller.heartbeat";
    rig.client.publish_with_reply(subject, "answers", beat.to_string().into()).await.expect("published");
    let answer = tokio::time::timeout(Duration::from_secs(10), inbox.next()).await.expect("answered").expect("open");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    assert_eq!(answer["accepted"], json!(true), "{answer}");
    let row = engine::queries::controller(rig.engine.reader(), "host-2").await.expect("readable").expect("a row");
    assert!(row.version.is_some_and(|version| version.contains("[shortened")), "it says that there was more");
    assert!(rig.dead_letters().await.is_empty());
    others_go_on(&rig, &mut controller).await;
}

#[tokio::test]
async fn one_session_of_a_world_that_cannot_be_stored_is_parked_and_the_rest_of_it_counts() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let (good, _) = rig.running(&mut controller).await;
        let (bad, _) = rig.running(&mut controller).await;
        let (absent, _) = rig.running(&mut controller).await;
        let of = |id: Uuid, more: Value| {
            let mut status = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "session_id": id,
                "status": "running", "generation": 1, "controller_id": OWNER });
            for (name, value) in more.as_object().into_iter().flatten() {
                status[name] = value.clone();
            }
            status
        };
        let world = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "controller_id": OWNER,
            "platform": PLATFORM, "sync_id": Uuid::now_v7(), "instance_id": controller.instance, "part": 0, "last": true,
            "span": { "from": Uuid::nil() },
            "sessions": [of(bad, json!({ "pod_name": "a\0b" })), of(good, json!({ "message": "still here" }))] });
        let before = redelivered(&rig);
        controller.publish(&format!("streamspace.controller.world.{PLATFORM}.{OWNER}"), world).await;
        let letters = || async { Some(rig.dead_letters().await).filter(|all| !all.is_empty()) };
        let letters = eventually("what it says of one is parked", letters).await;
        assert_eq!(letters.len(), 1);
        let moved = || async { Some(rig.session(absent).await.status).filter(|status| status != "running") };
        eventually("what it does not tell of is absent", moved).await;
        assert_eq!((rig.session(bad).await.status.as_str(), redelivered(&rig)), ("running", before));
        rig.engine.stop().await;
    }
}

/// A plain controller of the core lane, and a session that it was asked to make.
async fn plain(rig: &Rig) -> (Uuid, Value) {
    let subject = format!("streamspace.session.create.{PLATFORM}");
    let mut inbox = rig.client.subscribe(subject).await.expect("subscribed");
    let beat = json!({ "controller_id": "plain_1", "platform": PLATFORM, "timestamp": "2026-01-01T00:00:00Z",
        "status": "healthy", "version": "1.0.0", "capabilities": ["sessions"], "cluster_info": {} });
    rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
    let id = rig.create().await.session_id;
    let next = tokio::time::timeout(Duration::from_secs(20), inbox.next()).await;
    let message = next.expect("in time").expect("open");
    (id, serde_json::from_slice(&message.payload).expect("JSON"))
}

#[tokio::test]
async fn a_report_that_fits_no_column_is_parked_once_and_its_attempt_has_failed() {
    let rig = Rig::postgres().await;
    let (id, command) = plain(&rig).await;
    let report = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "session_id": id,
        "status": "running", "causation_id": command["event_id"], "controller_id": "c".repeat(300) });
    rig.client.publish("streamspace.session.status", report.to_string().into()).await.expect("published");
    let letters = || async { Some(rig.dead_letters().await).filter(|all| !all.is_empty()) };
    let letters = eventually("it is parked", letters).await;
    assert_eq!((letters.len(), letters[0].payload.as_slice()), (1, report.to_string().as_bytes()));
    let armed = || async { Some(rig.session(id).await).filter(|row| row.next_attempt_ms.is_some()) };
    let row = eventually("its attempt counts as failed", armed).await;
    assert!(row.reason.is_some_and(|reason| reason.contains("report_parked")));
    assert_eq!(redelivered(&rig), 0);
}

#[tokio::test]
async fn a_report_that_cannot_be_read_fails_the_attempt_that_it_names_but_only_by_its_owner() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let id = rig.create().await.session_id;
        let command = controller.take().await;
        let unreadable = controller.status(&command, "flying", json!({}));
        controller.publish(&format!("streamspace.session.status.{PLATFORM}.stranger"), unreadable.clone()).await;
        rig.dead_letter("undecodable").await;
        assert!(rig.session(id).await.next_attempt_ms.is_none(), "a stranger's word ends nobody's attempt");
        controller.publish(&crate::rig::lane(), unreadable).await;
        let armed = || async { Some(rig.session(id).await).filter(|row| row.next_attempt_ms.is_some()) };
        eventually("its attempt counts as failed", armed).await;
        rig.engine.stop().await;
    }
}
