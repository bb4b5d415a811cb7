//! Platforms are what controllers announce, and templates are validated with the schema that they announce.

use engine::{CreateSession, DefaultPlatform, WriteError, request};
use futures::StreamExt;
use machine::admission::Policy;
use serde_json::{Value, json};
use streams::wire::{Keeps, Manifest};
use uuid::Uuid;

use crate::rig::{PLATFORM, Rig, eventually, heartbeat};

const HASH: &str = "hash-1";

fn schema() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": { "speed": { "enum": ["slow", "fast"] } } })
}

fn manifest(name: &str, spec: &Value) -> Vec<Manifest> {
    let mut manifest = json!({ "apiVersion": "stream.space/v1alpha1", "kind": "Template",
        "metadata": { "name": name }, "spec": { "displayName": "A" } });
    for (field, value) in spec.as_object().into_iter().flatten() {
        manifest["spec"][field] = value.clone();
    }
    vec![Manifest::from_json(manifest).expect("a manifest")]
}

fn on(platform: Option<&str>, template: &str) -> CreateSession {
    let (template_id, platform) = (template.into(), platform.map(str::to_owned));
    CreateSession { template_id, user_id: "ann".into(), platform, ..CreateSession::default() }
}

/// The mistakes of a session that is refused: field, rule and hint in one text each.
async fn mistakes(rig: &Rig, request: CreateSession) -> Vec<String> {
    match rig.engine.create_session(request).await {
        Err(request::Error::Invalid(invalid)) => {
            invalid.0.into_iter().map(|one| format!("{}: {} ({:?})", one.field, one.rule, one.hint)).collect()
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// A controller of the durable lane that beats once, and answers for its schema as often as it is asked.
async fn announce(rig: &Rig, id: &str, platform: &str, more: Value, schema: Value) {
    let subject = format!("streamspace.controller.ask.{platform}.{id}");
    let mut questions = rig.client.subscribe(subject).await.expect("subscribed");
    rig.client.flush().await.expect("flushed");
    let client = rig.client.clone();
    tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            assert_eq!(
                serde_json::from_slice::<Value>(&question.payload).expect("JSON"),
                json!({ "ask": "template_schema" })
            );
            let answer = json!({ "template_schema": schema }).to_string();
            client.publish(question.reply.expect("a request"), answer.into()).await.expect("answered");
        }
    });
    let mut beat = heartbeat(2, Uuid::now_v7());
    (beat["controller_id"], beat["platform"], beat["template_schema_hash"]) = (json!(id), json!(platform), json!(HASH));
    for (field, value) in more.as_object().into_iter().flatten() {
        beat[field] = value.clone();
    }
    rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
}

async fn platform_with_schema(rig: &Rig, platform: &str) -> engine::Announced {
    let known = || async {
        let announced = rig.engine.platforms().await.expect("readable").remove(platform)?;
        announced.template_schema.is_some().then_some(announced)
    };
    eventually("the schema is known", known).await
}

#[tokio::test]
async fn a_template_is_validated_with_the_schema_that_its_platforms_controller_announces() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let wrong = json!({ "noop": { "speed": "medium" } });
        rig.engine.put_templates(manifest("before", &wrong)).await.expect("nothing is known yet");
        let more = json!({ "keeps": "paths", "attributes": { "os": "linux", "gpu": true } });
        announce(&rig, "host-1", PLATFORM, more, schema()).await;
        let announced = platform_with_schema(&rig, PLATFORM).await;
        assert_eq!(announced.template_schema, Some((HASH.into(), schema())));
        assert_eq!(announced.keeps, Some(Keeps::Paths));
        assert_eq!(announced.attributes["gpu"], [json!(true)]);
        assert!(announced.capabilities.contains("applications"), "{announced:?}");

        let refused = rig.engine.put_templates(manifest("wrong", &wrong)).await.expect_err("refused");
        let WriteError::Invalid(invalid) = refused else { panic!("{refused:?}") };
        assert_eq!((invalid.0.len(), invalid.0[0].field.as_str()), (1, "spec.noop.speed"));
        let two = [manifest("good", &json!({ "noop": { "speed": "fast" } })), manifest("wrong", &wrong)].concat();
        let refused = rig.engine.put_templates(two).await.expect_err("refused");
        let WriteError::Invalid(invalid) = refused else { panic!("{refused:?}") };
        assert_eq!(invalid.0[0].field, "documents[1].spec.noop.speed");
        rig.engine.put_templates(manifest("good", &json!({ "noop": { "speed": "fast" } }))).await.expect("valid");
        rig.engine.put_templates(manifest("other", &json!({ "mars": { "speed": 7 } }))).await.expect("not known");

        let named = mistakes(&rig, on(Some(PLATFORM), "before")).await.join("; ");
        assert!(named.starts_with("template_id: ") && named.contains("spec.noop.speed"), "{named}");
        rig.engine.create_session(on(Some(PLATFORM), "good")).await.expect("valid");
        rig.engine.create_session(on(Some(PLATFORM), "other")).await.expect("a block of another platform");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_schema_outlives_its_controller_and_the_engine_that_asked_for_it() {
    let mut rig = Rig::sqlite().await;
    announce(&rig, "host-1", PLATFORM, json!({ "status": "unhealthy" }), schema()).await;
    platform_with_schema(&rig, PLATFORM).await;
    rig.restart().await;
    platform_with_schema(&rig, PLATFORM).await;
    assert!(rig.engine.put_templates(manifest("wrong", &json!({ "noop": { "speed": 1 } }))).await.is_err());
    rig.engine.stop().await;
}

#[tokio::test]
async fn a_template_is_good_if_one_controller_of_the_platform_accepts_it() {
    let rig = Rig::sqlite().await;
    announce(&rig, "host-1", PLATFORM, json!({}), schema()).await;
    platform_with_schema(&rig, PLATFORM).await;
    let newer =
        json!({ "type": "object", "properties": { "colour": { "type": "string" } }, "additionalProperties": false });
    announce(&rig, "host-2", PLATFORM, json!({ "template_schema_hash": "hash-2" }), newer).await;
    let put = |spec: Value| rig.engine.put_templates(manifest("either", &spec));
    eventually("the newer schema is known", || async { put(json!({ "noop": { "colour": "red" } })).await.ok() }).await;
    put(json!({ "noop": { "speed": "slow" } })).await.expect("the older one");
    assert!(put(json!({ "noop": { "size": 1 } })).await.is_err(), "neither accepts it");
    rig.engine.stop().await;
}

#[tokio::test]
async fn a_schema_that_is_not_acceptable_validates_nothing_and_harms_nobody() {
    let rig = Rig::sqlite().await;
    let remote = json!({ "$ref": "https://example.com/schema.json" });
    announce(&rig, "host-1", PLATFORM, json!({ "attributes": { "os": "linux" } }), remote).await;
    let seen =
        || async { rig.engine.platforms().await.expect("readable").remove(PLATFORM)?.attributes.get("os").cloned() };
    eventually("the announcement is known", seen).await;
    rig.engine.put_templates(manifest("any", &json!({ "noop": { "speed": 1 } }))).await.expect("not validated");
    rig.engine.create_session(on(None, "any")).await.expect("accepted");
    rig.engine.stop().await;
}

#[tokio::test]
async fn an_unknown_platform_is_refused_with_the_known_ones_and_the_way_out() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let named = mistakes(&rig, on(Some("mars"), "app")).await.join("; ");
        for part in ["platform: ", "\"mars\"", "use one of local, noop", "start a controller for mars"] {
            assert!(named.contains(part), "{part}: {named}");
        }
        announce(&rig, "mars-1", "mars", json!({ "status": "unhealthy" }), schema()).await;
        let known = || async { rig.engine.create_session(on(Some("mars"), "app")).await.ok() };
        eventually("a platform whose controller is not well is known, and its sessions wait", known).await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_newcomer_that_nobody_has_admitted_announces_nothing() {
    let mut rig = Rig::sqlite().await;
    announce(&rig, "host-1", PLATFORM, json!({}), schema()).await;
    platform_with_schema(&rig, PLATFORM).await;
    rig.admission(Policy::Operator).await;
    let other = json!({ "type": "object", "properties": { "size": { "type": "integer" } } });
    announce(
        &rig,
        "host-2",
        PLATFORM,
        json!({ "template_schema_hash": "hash-2", "attributes": { "os": "other" } }),
        other,
    )
    .await;
    let waits = || async {
        let rows = engine::queries::controllers(rig.engine.reader()).await.expect("readable");
        rows.into_iter().find(|row| row.controller_id == "host-2" && !row.admitted)
    };
    eventually("it waits for admission", waits).await;
    platform_with_schema(&rig, PLATFORM).await;
    assert!(rig.engine.put_templates(manifest("wrong", &json!({ "noop": { "size": 1 } }))).await.is_err());
    let announced = rig.engine.platforms().await.expect("readable").remove(PLATFORM).expect("known");
    assert!(!announced.attributes.contains_key("os"), "{announced:?}");
    rig.engine.stop().await;
}

#[tokio::test]
async fn without_a_default_the_only_platform_is_meant_and_of_several_one_must_be_named() {
    let mut rig = Rig::sqlite().await;
    rig.default_platform(DefaultPlatform::OnlyOne { fallback: "mars".into() }).await;
    let row = rig.engine.create_session(on(None, "app")).await.expect("accepted");
    assert_eq!(row.platform, "mars", "as long as no controller has announced one");
    announce(&rig, "host-1", PLATFORM, json!({}), schema()).await;
    platform_with_schema(&rig, PLATFORM).await;
    let row = rig.engine.create_session(on(None, "app")).await.expect("accepted");
    assert_eq!(row.platform, PLATFORM);
    announce(&rig, "venus-1", "venus", json!({}), schema()).await;
    platform_with_schema(&rig, "venus").await;
    let named = mistakes(&rig, on(None, "app")).await.join("; ");
    assert!(named.contains("noop, venus") && named.contains("STREAMSPACE_DEFAULT_PLATFORM"), "{named}");
    rig.engine.stop().await;
}
