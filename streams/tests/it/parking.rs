//! What is parked keeps its bytes and headers, and says why it is there.

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
