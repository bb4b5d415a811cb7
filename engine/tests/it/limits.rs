//! The limits of every entrance hold on both databases: what is at a bound is stored, and what is one beyond it is refused or
//! parked, and hinders nothing else.

use std::collections::BTreeSet;

use engine::store::{controller, dead_letter};
use engine::{CreateSession, request};
use migrations::testing::TestDatabase;
use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use serde_json::{Value, json};
use streams::limits::{self, columns};
use streams::wire::Manifest;
use uuid::Uuid;

use crate::rig::{Rig, eventually, heartbeat, lane, request as ask};

/// Types of columns that can hold no more than the types that they are read into.
const FIXED: [&str; 6] = ["bigint", "integer", "boolean", "uuid", "timestamp with time zone", "double precision"];

async fn rows(test: &TestDatabase, sql: &str, columns: &[&str]) -> Vec<Vec<Option<String>>> {
    let found = test.database.reader.query_all_raw(Statement::from_string(test.backend(), sql)).await.expect("rows");
    let row = |row: &sea_orm::QueryResult| columns.iter().map(|name| row.try_get("", name).expect(name)).collect();
    found.iter().map(row).collect()
}

#[tokio::test]
async fn every_column_of_the_catalogue_has_a_limit_that_it_can_hold() {
    let test = TestDatabase::postgres().await.expect("a database");
    let sql = "SELECT table_name::text AS t, column_name::text AS c, data_type::text AS kind, \
        character_maximum_length::text AS most FROM information_schema.columns \
        WHERE table_schema = 'public' AND table_name <> 'seaql_migrations'";
    let mut seen = BTreeSet::new();
    for row in rows(&test, sql, &["t", "c", "kind", "most"]).await {
        let [Some(table), Some(name), Some(kind), most] = &row[..] else { panic!("{row:?}") };
        let listed = columns::find(table, name);
        if FIXED.contains(&kind.as_str()) {
            assert!(listed.is_none(), "{table}.{name} is {kind} and needs no limit");
            continue;
        }
        let bound =
            listed.unwrap_or_else(|| panic!("say in streams/src/limits/columns.rs what {table}.{name} holds")).bound;
        seen.insert((table.clone(), name.clone()));
        let most = most.as_ref().map_or(usize::MAX, |most| most.parse().expect("a number"));
        match (kind.as_str(), bound) {
            ("character varying" | "text", columns::Bound::Characters(n) | columns::Bound::Shortened(n)) => {
                assert!(n <= most, "{table}.{name} holds {most} characters, and {n} are let in");
            }
            ("character varying" | "text", columns::Bound::Own) => {}
            ("jsonb", columns::Bound::Json(_) | columns::Bound::Own | columns::Bound::Message) => {}
            ("bytea", columns::Bound::Message) => {}
            // the text of a manifest
            ("text", columns::Bound::Json(_)) => {}
            (kind, bound) => panic!("{table}.{name} is {kind} and cannot be {bound:?}"),
        }
    }
    let gone: Vec<_> = columns::ALL.iter().filter(|c| !seen.contains(&(c.table.into(), c.name.into()))).collect();
    assert!(gone.is_empty(), "there are no such columns: {gone:?}");
}

#[tokio::test]
async fn sqlite_has_the_same_columns() {
    let test = TestDatabase::sqlite().await.expect("a database");
    for column in columns::ALL {
        let sql = format!("SELECT name FROM pragma_table_info('{}') WHERE name = '{}'", column.table, column.name);
        assert_eq!(rows(&test, &sql, &["name"]).await.len(), 1, "{column:?}");
    }
}

fn full(characters: usize) -> String {
    "é".repeat(characters)
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

/// Every field of a request at its bound.
fn largest() -> CreateSession {
    let labels =
        (0..limits::LABELS).map(|i| (format!("{i:02}{}", full(limits::LABEL - 2)), full(limits::LABEL).into()));
    let mut metadata = nested(limits::DEPTH).as_object().cloned().unwrap_or_default();
    let bytes = limits::FREE_JSON - json!(metadata).to_string().len() - r#","b":"""#.len();
    metadata.insert("b".into(), "x".repeat(bytes).into());
    CreateSession {
        user_id: full(limits::NAME),
        tags: vec![full(limits::TAG); limits::TAGS],
        selector: labels.collect(),
        metadata,
        ..ask()
    }
}

/// What is wrong with a request of which one field is beyond its bound.
async fn refused(rig: &Rig, change: impl FnOnce(&mut CreateSession)) -> String {
    let mut request = largest();
    change(&mut request);
    match rig.engine.create_session(request).await {
        Err(request::Error::Invalid(invalid)) => invalid.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn requests(rig: &Rig) {
    let row = rig.engine.create_session(largest()).await.expect("everything at its bound");
    assert_eq!(rig.session(row.session_id).await.metadata, json!(largest().metadata));
    assert!(refused(rig, |r| r.user_id.push('é')).await.contains("user_id: must be 1 to 255 printable characters"));
    assert!(refused(rig, |r| r.user_id = "a\u{0}".into()).await.contains("user_id"));
    assert!(refused(rig, |r| r.tags.push("t".into())).await.contains("tags: at most 32"));
    assert!(refused(rig, |r| r.tags[0].push('é')).await.contains("tags[0]"));
    assert!(refused(rig, |r| drop(r.selector.insert("z".into(), "z".into()))).await.contains("selector: at most 16"));
    assert!(refused(rig, |r| drop(r.metadata.insert("c".into(), 1.into()))).await.contains("16384 bytes"));
    assert!(
        refused(rig, |r| r.metadata = json!({ "a": "\u{0}" }).as_object().cloned().unwrap())
            .await
            .contains("metadata.a")
    );
    assert!(
        refused(rig, |r| r.metadata = nested(limits::DEPTH + 1).as_object().cloned().unwrap())
            .await
            .contains("32 levels")
    );
    assert!(refused(rig, |r| r.template_id = full(limits::TEMPLATE_NAME + 1)).await.contains("template_id"));
    assert!(refused(rig, |r| r.platform = Some("p".repeat(limits::PLATFORM + 1))).await.contains("platform"));
    let patch = |value: Value| engine::AmendSession { metadata: Some(value), ..engine::AmendSession::default() };
    let amended =
        rig.engine.amend_session(row.session_id, None, patch(json!({ "b": null, "c": 1 }))).await.expect("amended");
    assert_eq!(amended.metadata["c"], 1);
    let fill = json!({ "b": "x".repeat(limits::FREE_JSON - 10) });
    assert!(
        rig.engine.amend_session(row.session_id, None, patch(fill)).await.is_err(),
        "it would be too large together"
    );
}

async fn templates(rig: &Rig) {
    let name = "t".repeat(limits::TEMPLATE_NAME);
    let text = format!(
        "{{apiVersion: stream.space/v1alpha1, kind: Template, metadata: {{name: {name}}}, spec: {{displayName: \"{}\", \
        description: \"{}\", category: \"{}\", baseImage: \"{}\"}}}}",
        full(limits::DISPLAY_NAME),
        full(limits::DESCRIPTION),
        full(limits::DISPLAY_NAME),
        full(limits::IMAGE)
    );
    let manifests = Manifest::parse_all(&text).expect("everything at its bound");
    rig.engine.put_templates(manifests).await.expect("written");
    let row = rig.engine.create_session(CreateSession { template_id: name, ..ask() }).await.expect("accepted");
    assert_eq!(rig.session(row.session_id).await.status, "pending");
}

async fn heartbeats(rig: &Rig) {
    let id = full(limits::CORE_CONTROLLER_ID);
    let mut beat = heartbeat(1, Uuid::now_v7());
    beat["controller_id"] = json!(id);
    beat["platform"] = json!("p".repeat(limits::PLATFORM));
    beat["version"] = json!("v".repeat(limits::VERSION + 3));
    beat["sealing_key"] = json!(full(limits::SEALING_KEY));
    beat["cluster_info"] = nested(limits::DEPTH - 1);
    rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
    let find = || async { controller::Entity::find().all(rig.engine.reader()).await.expect("rows") };
    let taken = || async { find().await.into_iter().find(|row| row.controller_id == id) };
    let row = eventually("the controller at every bound", taken).await;
    let version = row.version.unwrap_or_default();
    assert!(
        version.ends_with("… [shortened from 53 characters]") && version.chars().count() == limits::VERSION,
        "{version}"
    );
    let before = rig.dead_letters().await.len();
    beat["controller_id"] = json!(full(limits::CORE_CONTROLLER_ID + 1));
    rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
    let parked = || async { Some(rig.dead_letters().await).filter(|all| all.len() > before) };
    eventually("the heartbeat beyond its bound is parked", parked).await;
}

async fn reports(rig: &Rig) {
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = loop {
        let command = controller.take().await;
        if command["session_id"] == json!(id) {
            break command;
        }
    };
    let before = rig.dead_letters().await.len();
    // what is beyond a bound is parked at once, although it comes first, and nothing behind it waits
    for more in [
        json!({ "url": "javascript:alert(1)" }),
        json!({ "pod_name": full(limits::RESOURCE_NAME + 1) }),
        json!({ "controller_id": full(300) }),
        json!({ "message": "a\u{0}b" }),
        json!({ "more": nested(limits::DEPTH) }),
    ] {
        // unasked, so that no attempt ends with it
        let mut report = controller.status(&command, "running", more);
        report["causation_id"] = Value::Null;
        controller.publish(&lane(), report).await;
    }
    let world = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "controller_id": "host-1",
        "platform": "noop", "sync_id": Uuid::now_v7(), "instance_id": controller.instance, "part": 0, "last": false,
        "sessions": [controller.status(&command, "running", json!({ "message": "a\u{0}b" }))] });
    controller.publish("streamspace.controller.world.noop.host-1", world).await;
    let url = format!("https://{}", "h".repeat(limits::URL - 8));
    let large = json!({ "url": url, "pod_name": full(limits::RESOURCE_NAME), "phase": full(limits::PHASE + 1),
        "message": full(350_000) });
    controller.publish(&lane(), controller.status(&command, "running", large)).await;
    let row = rig.until(id, "running").await;
    assert_eq!((row.url, row.pod_name), (Some(url), Some(full(limits::RESOURCE_NAME))));
    let message = row.message.unwrap_or_default();
    assert!(message.ends_with("… [shortened from 350000 characters]"), "{message}");
    assert_eq!(message.chars().count(), limits::MESSAGE);
    let parked = || async { Some(rig.dead_letters().await).filter(|all| all.len() == before + 6) };
    let letters = eventually("six dead letters", parked).await;
    assert!(letters[before..].iter().all(|letter: &dead_letter::Model| letter.reason == "undecodable"), "{letters:?}");
    let logged = rig.log(id).await;
    assert!(logged.iter().all(|row| json!(row).to_string().len() < limits::REPORT), "a page of the log stays small");
}

async fn walk(rig: Rig) {
    requests(&rig).await;
    templates(&rig).await;
    heartbeats(&rig).await;
    reports(&rig).await;
}

#[tokio::test]
async fn every_entrance_takes_what_is_at_its_bound_and_nothing_beyond_on_sqlite() {
    walk(Rig::sqlite().await).await;
}

#[tokio::test]
async fn every_entrance_takes_what_is_at_its_bound_and_nothing_beyond_on_postgres() {
    walk(Rig::postgres().await).await;
}

#[tokio::test]
async fn a_failure_of_700_kilobytes_is_told_in_short_and_its_copy_goes_out() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    let error = json!({ "code": "boom", "message": "x".repeat(716_800), "retryable": false });
    controller.publish(&lane(), controller.status(&command, "failed", json!({ "error": error }))).await;
    rig.until(id, "failed").await;
    let copied = || async { rig.dead_letters().await.into_iter().find(|letter| letter.copied) };
    let letter = eventually("the public copy", copied).await;
    assert!(letter.error.contains("[shortened from 716800 characters]"), "{}", letter.error.len());
    assert!(json!(letter.attempts).to_string().len() < limits::REPORT);
    assert!(rig.log(id).await.iter().all(|row| json!(row).to_string().len() < limits::REPORT));
}
