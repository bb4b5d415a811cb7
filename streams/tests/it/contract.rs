//! Every sample of the contract is read and written again with nothing lost or renamed.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use streams::wire::{AppInstall, AppStatus, Heartbeat, Manifest, SessionCreate, SessionStatus};
use streams::{duration, quantity};

/// Samples contain "uuid" in place of a real one.
fn sample(text: &str) -> Value {
    serde_json::from_str(&text.replace("\"uuid\"", "\"0190d0f0-7b4e-7c62-a1f0-0242ac120002\"")).unwrap()
}

/// Whether `whole` contains everything in `part`.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|found| contains(found, value)))
        }
        _ => whole == part,
    }
}

fn round_trips<T: Serialize + DeserializeOwned>(text: &str) {
    let sample = sample(text);
    let decoded: T = serde_json::from_value(sample.clone()).unwrap();
    let written = serde_json::to_value(&decoded).unwrap();
    assert!(contains(&written, &sample), "lost or renamed: {sample:#} became {written:#}");
    let mut newer = sample;
    newer["a_field_of_tomorrow"] = 1.into();
    serde_json::from_value::<T>(newer).expect("a newer peer's field is no reason to refuse");
}

#[test]
fn every_sample_survives_a_round_trip() {
    round_trips::<AppInstall>(include_str!("../../contract/app.install.json"));
    round_trips::<AppStatus>(include_str!("../../contract/app.status.json"));
    round_trips::<Heartbeat>(include_str!("../../contract/controller.heartbeat.json"));
    round_trips::<SessionCreate>(include_str!("../../contract/session.create.json"));
    round_trips::<SessionStatus>(include_str!("../../contract/session.status.json"));
}

#[test]
fn the_samples_heartbeat_is_that_of_the_core_lane() {
    let heartbeat: Heartbeat =
        serde_json::from_value(sample(include_str!("../../contract/controller.heartbeat.json"))).unwrap();
    assert_eq!(heartbeat.protocol, None);
}

const CATALOG: &str = "\
apiVersion: stream.space/v1alpha1
kind: Template
metadata:
  name: firefox-browser
  namespace: workspaces
spec:
  displayName: Firefox Web Browser
  category: Web Browsers
  baseImage: lscr.io/linuxserver/firefox:latest
  defaultResources:
    memory: 2Gi
    cpu: 1000m
  ports:
    - name: vnc
      containerPort: 3000
      protocol: TCP
  env:
    - name: PUID
      value: \"1000\"
  volumeMounts:
    - name: user-home
      mountPath: /config
  kasmvnc:
    enabled: true
    port: 3000
  colour: blue
  docker:
    shmSize: 1Gi
---
apiVersion: stream.space/v1alpha1
kind: Template
metadata: { name: second }
spec: { displayName: Second }
";

#[test]
fn a_catalog_file_with_several_documents_and_kasmvnc_is_read() {
    let manifests = Manifest::parse_all(CATALOG).unwrap();
    assert_eq!(manifests.len(), 2);
    let first = &manifests[0];
    assert_eq!(first.spec.vnc.as_ref().unwrap().port, Some(3000));
    assert_eq!(first.metadata.extra["namespace"], "workspaces");
    let unknown = first.unknown_fields(&["docker".into()]);
    assert_eq!(unknown, ["spec.colour"], "unknown fields are kept and named, platform blocks are not");
    assert_eq!(first.block("docker"), Some(serde_json::json!({ "shmSize": "1Gi" })));
    assert_eq!((first.block("local"), first.block("colours")), (None, None));
    assert_eq!(first.spec.extra["docker"]["shmSize"], "1Gi");
}

#[test]
fn a_manifest_survives_json() {
    let manifest = Manifest::parse_all(CATALOG).unwrap().remove(0);
    let json = serde_json::to_string(&manifest).unwrap();
    assert_eq!(Manifest::parse_all(&json).unwrap(), std::slice::from_ref(&manifest), "JSON is YAML");
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
}

#[test]
fn a_wrong_manifest_names_its_field() {
    let cases = [
        (CATALOG.replace("v1alpha1", "v9"), "apiVersion"),
        (CATALOG.replace("kind: Template", "kind: Pod"), "kind"),
        (CATALOG.replace("firefox-browser", "Firefox Browser"), "metadata.name"),
        (CATALOG.replace("Firefox Web Browser", "''"), "spec.displayName"),
        (CATALOG.replace("2Gi", "lots"), "spec.defaultResources.memory"),
        (CATALOG.replace("1000m", "-1"), "spec.defaultResources.cpu"),
    ];
    for (yaml, field) in cases {
        let error = Manifest::parse_all(&yaml).unwrap_err().to_string();
        assert!(error.starts_with(field), "{field}: {error}");
    }
    assert!(Manifest::parse_all("").is_err());
    assert!(Manifest::parse_all("{ not yaml").is_err());
}

#[test]
fn quantities_are_those_of_kubernetes() {
    let bytes = [("1", 1), ("512Mi", 512 << 20), ("2Gi", 2 << 30), ("1.5Gi", 3 << 29), ("1k", 1000), ("1M", 1_000_000)];
    for (text, value) in bytes {
        assert_eq!(quantity::bytes(text), Ok(value), "{text}");
    }
    for (text, value) in [("1", 1000), ("1000m", 1000), ("250m", 250), ("0.5", 500), ("1m", 1)] {
        assert_eq!(quantity::millicores(text), Ok(value), "{text}");
    }
    for text in ["", "Gi", "-1Gi", "0", "1 Gi", "1Gi ", "1GiB", "1e3", "inf", "NaN", "0x10", "1..2"] {
        assert!(quantity::bytes(text).is_err(), "{text:?} is no memory");
        assert!(quantity::millicores(text).is_err(), "{text:?} is no CPU");
    }
}

#[test]
fn durations_are_read_and_written() {
    for (text, seconds) in [("1s", 1), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("365d", 31_536_000)] {
        let parsed = duration::parse(text).unwrap();
        assert_eq!(parsed, Duration::from_secs(seconds), "{text}");
        assert_eq!(duration::parse(&duration::format(parsed)), Ok(parsed), "{text}");
    }
    for text in ["", "0s", "500ms", "-1s", "30", "366d", "soon"] {
        assert!(duration::parse(text).is_err(), "{text:?} is no duration");
    }
}
