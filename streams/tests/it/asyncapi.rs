//! The AsyncAPI document matches the code: it is the snapshot, contains every subject, and its samples are valid.

use std::path::Path;

use serde_json::{Value, json};
use streams::subject::{Report, Verb};

fn document() -> Value {
    serde_json::from_str(&streams::asyncapi::document(env!("CARGO_PKG_VERSION"))).unwrap()
}

#[test]
fn the_document_is_the_snapshot() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("asyncapi.json");
    let now = streams::asyncapi::document(env!("CARGO_PKG_VERSION")) + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(now.lines()).position(|(a, b)| a != b).map_or(0, |line| line + 1);
    let path = path.display();
    assert!(kept == now, "{path} differs from line {differs} on; UPDATE_SNAPSHOTS=1 cargo test -p streams writes it");
}

#[test]
fn every_verb_and_report_is_there_in_both_lanes() {
    let document = document();
    let channel = |address: String| {
        let all = document["channels"].as_object().unwrap().values();
        let found = all.filter(|channel| channel["address"] == address).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{address}");
        found[0]["x-streamspace"]["stream"].clone()
    };
    for verb in Verb::ALL.map(Verb::name) {
        assert_eq!(channel(format!("streamspace.{verb}.{{platform}}.{{controller_id}}")), "SS_COMMANDS");
        assert_eq!(channel(format!("streamspace.{verb}.{{platform}}")), Value::Null);
    }
    for report in Report::ALL.map(Report::name) {
        assert_eq!(channel(format!("streamspace.{report}.{{platform}}.{{controller_id}}")), "SS_REPORTS");
        assert_eq!(channel(format!("streamspace.{report}")), "SS_REPORTS");
    }
    for (address, stream) in [
        ("streamspace.controller.heartbeat", Value::Null),
        ("streamspace.controller.sync.{platform}.{controller_id}", Value::Null),
        ("streamspace.controller.ask.{platform}.{controller_id}", Value::Null),
        ("streamspace.dlq.{original_subject}", json!("SS_DLQ")),
        ("streamspace.intake.{user}.{domain}.{action}", Value::Null),
    ] {
        assert_eq!(channel(address.into()), stream, "{address}");
    }
}

/// The schema of a message's payload with everything that it refers to.
fn schema(document: &Value, message: &Value) -> Value {
    let mut schema = message["payload"].clone();
    schema["components"] = json!({ "schemas": document["components"]["schemas"] });
    schema
}

#[test]
fn every_sample_fits_its_schema_and_a_wrong_one_does_not() {
    let document = document();
    let mut checked = 0;
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        let Some(examples) = message["examples"].as_array() else { continue };
        let validator = jsonschema::draft7::new(&schema(&document, message)).unwrap();
        for example in examples {
            let payload = &example["payload"];
            assert!(payload.as_object().is_some_and(|fields| !fields.is_empty()), "{name}");
            let mistakes = validator.iter_errors(payload).map(|error| error.to_string()).collect::<Vec<_>>();
            assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
            checked += 1;
        }
        // an empty answer to a question means that it is done
        if !name.starts_with("intake") && name != "controller_ask_answer" {
            assert!(!validator.is_valid(&json!({})), "{name}: an empty payload says nothing");
            assert!(!validator.is_valid(&json!({ "timestamp": 7 })), "{name}");
        }
    }
    assert_eq!(
        checked,
        Verb::ALL.len() + Report::ALL.len() + 7,
        "each verb, report, heartbeat, its answer, sync, question, its answer, and intake twice"
    );
}
