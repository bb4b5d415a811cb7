//! Parked messages keep their bytes and headers, and carry the reason.

use bytes::Bytes;
use chrono::Utc;
use streams::metrics::Metrics;
use streams::parking::{Attempt, Letter, Parker};
use streams::publisher::Publisher;
use streams::testing::nats;
use streams::topology::SS_DLQ;

fn letter() -> Letter {
    Letter {
        subject: "streamspace.session.create.docker".into(),
        payload: Bytes::from_static(b"\x00\xff not json \r\n"),
        headers: vec![("X-Mine".into(), "kept".into()), ("Nats-Expected-Stream".into(), "OTHER".into())],
        message_id: "dlq:test".into(),
        reason: "undecodable".into(),
        error: "ä".repeat(5000),
        attempts: (0..200).map(|attempt| Attempt { attempt, at: Utc::now(), error: "x".repeat(1000) }).collect(),
        ..Letter::default()
    }
}

#[tokio::test]
async fn bytes_headers_and_reason_are_kept() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let parker = Parker::new(Publisher::new(link.clone(), Metrics::default()));
    let acked = parker.park_letter(letter()).await.unwrap();
    assert!(parker.park_letter(letter()).await.unwrap().duplicate, "parking twice stores once");
    let stored = link.jetstream.get_stream(SS_DLQ).await.unwrap().get_raw_message(acked.sequence).await.unwrap();
    assert_eq!(stored.subject.as_str(), "streamspace.dlq.streamspace.session.create.docker");
    assert_eq!(stored.payload, letter().payload);
    let header = |name: &str| stored.headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header("X-Mine"), "kept");
    assert_eq!(header("Streamspace-Reason"), "undecodable");
    assert_eq!(header("Streamspace-Original-Nats-Expected-Stream"), "OTHER", "an order to the server is only quoted");
    assert!(header("Streamspace-Error").len() <= 2100, "long errors are shortened");
    let attempts: Vec<Attempt> = serde_json::from_str(&header("Streamspace-Attempts")).unwrap();
    assert_eq!(attempts.last().unwrap().attempt, 199, "the latest attempts are kept");
}

#[tokio::test]
async fn whatever_is_in_a_letter_it_is_parked_and_what_was_left_out_is_said() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let parker = Parker::new(Publisher::new(link.clone(), Metrics::default()));
    let subject = format!("streamspace.session.status.{}.b", "a".repeat(4_045));
    let huge = Letter {
        subject: subject.clone(),
        payload: Bytes::from(vec![b'x'; link.client.max_payload()]),
        headers: (0..9_000).map(|n| (format!("Nats-{n}"), "v".into())).collect(),
        reason: "r".repeat(5_000),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ..letter()
    };
    let acked = parker.park_letter(huge).await.unwrap();
    let stored = link.jetstream.get_stream(SS_DLQ).await.unwrap().get_raw_message(acked.sequence).await.unwrap();
    let header = |name: &str| stored.headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header("Streamspace-Original-Subject"), subject);
    assert_eq!(header("Streamspace-Payload-Bytes"), link.client.max_payload().to_string());
    let left_out: usize = header("Streamspace-Headers-Left-Out").parse().unwrap();
    let kept =
        stored.headers.iter().filter(|(name, _)| name.to_string().starts_with("Streamspace-Original-Nats-")).count();
    assert_eq!(left_out + kept, 9_000);
    assert!(stored.payload.len() > link.client.max_payload() - 64 * 1024, "{} bytes are kept", stored.payload.len());
    assert_eq!((link.reconnects.count(), link.is_connected()), (0, true));
}
