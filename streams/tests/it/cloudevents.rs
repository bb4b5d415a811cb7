//! Every published message is a CloudEvent in its headers, and a parked one remains the same event.

use bytes::Bytes;
use streams::async_nats::HeaderMap;
use streams::cloudevents::{self, REQUIRED, event_type};
use streams::metrics::Metrics;
use streams::parking::{Letter, Parker};
use streams::publisher::Publisher;
use streams::testing::nats;
use streams::topology::SS_DLQ;

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default()
}

#[test]
fn a_type_names_what_is_said_and_not_to_whom() {
    let cases = [
        ("streamspace.session.create.docker.host-1", "dev.streamspace.session.create.v1"),
        ("streamspace.session.create.docker", "dev.streamspace.session.create.v1"),
        ("streamspace.session.status", "dev.streamspace.session.status.v1"),
        ("streamspace.controller.heartbeat", "dev.streamspace.controller.heartbeat.v1"),
        ("streamspace.dlq.streamspace.session.create.docker.host-1", "dev.streamspace.session.create.v1"),
    ];
    for (subject, expected) in cases {
        assert_eq!(event_type(subject), expected, "{subject}");
    }
}

#[test]
fn each_lane_has_all_that_the_specification_requires() {
    let cases = [
        ("streamspace.session.create.docker.host-1", "/streamspace/engine"),
        ("streamspace.session.create.docker", "/streamspace/engine"),
        ("streamspace.session.status.docker.host-1", "/streamspace/controllers/docker/host-1"),
        ("streamspace.dlq.streamspace.session.status.docker.host-1", "/streamspace/controllers/docker/host-1"),
        ("streamspace.dlq.streamspace.session.status", "/streamspace/controllers"),
    ];
    for (subject, source) in cases {
        let headers = cloudevents::headers(subject, "an-id", Some("session:1"));
        assert!(REQUIRED.iter().all(|name| !header(&headers, name).is_empty()), "{subject}: {headers:?}");
        assert_eq!(header(&headers, "ce-source"), source, "{subject}");
        assert_eq!((header(&headers, "ce-specversion"), header(&headers, "ce-id")), ("1.0".into(), "an-id".into()));
        assert_eq!(header(&headers, "ce-subject"), "session:1");
        let json = !subject.starts_with("streamspace.dlq.");
        assert_eq!(header(&headers, "content-type") == "application/json", json, "what is parked may be anything");
    }
    assert_ne!(header(&cloudevents::headers("streamspace.controller.heartbeat", "", None), "ce-id"), "");
}

#[tokio::test]
async fn a_parked_message_keeps_its_attributes() {
    let nats = nats().await;
    let link = nats.declared().await.unwrap();
    let original = cloudevents::headers("streamspace.session.create.docker.host-1", "the-first", Some("session:1"));
    let headers = original.iter().map(|(name, values)| (name.to_string(), values[0].to_string())).collect::<Vec<_>>();
    let letter = Letter {
        subject: "streamspace.session.create.docker.host-1".into(),
        payload: Bytes::from_static(b"{}"),
        headers: headers.clone(),
        message_id: "dlq:test".into(),
        ..Letter::default()
    };
    let parker = Parker::new(Publisher::new(link.clone(), Metrics::default()));
    let acked = parker.park_letter(letter).await.unwrap();
    let stored = link.jetstream.get_stream(SS_DLQ).await.unwrap().get_raw_message(acked.sequence).await.unwrap();
    for (name, value) in headers {
        assert_eq!(header(&stored.headers, &name), value, "{name}");
    }
}
