//! Dead letters are found by text and grouped by what has to be mended, without reading what is in them.

use engine::causes::{self, Cause};
use engine::queries::{self, LetterFilter};
use engine::store::dead_letter::{Entity, Model};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel, Statement};
use serde_json::json;
use uuid::Uuid;

use crate::rig::Rig;

/// A letter of a cause, parked at a time.
fn letter(fingerprint: &str, controller_id: Option<&str>, status: &str, created_ms: i64) -> Model {
    let id = Uuid::now_v7();
    Model {
        id,
        event_id: None,
        source: format!("test:{id}"),
        subject: "streamspace.session.create.noop.host-1".into(),
        reason: "permanent".into(),
        error: format!("disk 100% full on {fingerprint}"),
        payload: vec![0; 2_000],
        headers: json!([]),
        attempts: json!([]),
        entity: Some(format!("session:{id}")),
        controller_id: controller_id.map(str::to_owned),
        platform: Some("noop".into()),
        fingerprint: fingerprint.into(),
        status: status.into(),
        note: None,
        copied: true,
        created_ms,
        updated_ms: created_ms,
        settled_by: None,
        entity_seq: 0,
        edit: None,
        digest: None,
        count: 1,
        last_ms: None,
        repeats: None,
        verified: true,
    }
}

async fn store(rig: &Rig, letters: Vec<Model>) {
    let rows = letters.into_iter().map(IntoActiveModel::into_active_model);
    Entity::insert_many(rows).exec_without_returning(&rig.database.database.writer).await.expect("stored");
}

async fn all(rig: &Rig, filter: &LetterFilter) -> Vec<Cause> {
    causes::list(rig.engine.reader(), filter, None, 100).await.expect("readable")
}

fn open() -> LetterFilter {
    LetterFilter { status: Some("open".into()), ..LetterFilter::default() }
}

#[tokio::test]
async fn a_cause_is_counted_once_for_each_controller_and_pages_neither_skip_nor_repeat() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut letters = vec![
            letter("aa", Some("host-1"), "open", 1_000),
            letter("aa", Some("host-1"), "replayed", 2_000),
            letter("aa", Some("host-1"), "discarded", 3_000),
            letter("aa", Some("host-2"), "discarded", 1_000),
            letter("aa", None, "open", 1_000),
            letter("bb", None, "open", 4_000),
        ];
        let last = letter("aa", Some("host-1"), "open", 5_000);
        let (latest, error) = (last.id, last.error.clone());
        letters.push(last);
        store(&rig, letters).await;
        let rows = all(&rig, &LetterFilter::default()).await;
        let told: Vec<_> =
            rows.iter().map(|row| (&*row.fingerprint, row.controller_id.as_deref(), row.count)).collect();
        let expected = [("bb", None, 1), ("aa", Some("host-2"), 1), ("aa", Some("host-1"), 4), ("aa", None, 1)];
        assert_eq!(told, expected, "the newest cause first");
        let row = &rows[2];
        assert_eq!((row.open, row.replayed, row.discarded), (2, 1, 1));
        assert_eq!((row.first_ms, row.last_ms, row.latest, &row.error), (1_000, 5_000, latest, &error));
        assert_eq!((&*row.subject, &*row.reason), ("streamspace.session.create", "permanent"));

        let mut pages = Vec::new();
        let mut after = None;
        while let [row] =
            &causes::list(rig.engine.reader(), &LetterFilter::default(), after, 1).await.expect("readable")[..]
        {
            pages.push((row.fingerprint.clone(), row.controller_id.clone()));
            after = Some(row.place());
        }
        let whole: Vec<_> = rows.iter().map(|row| (row.fingerprint.clone(), row.controller_id.clone())).collect();
        assert_eq!(pages, whole);

        let rows = all(&rig, &open()).await;
        let told: Vec<_> = rows.iter().map(|row| (row.controller_id.as_deref(), row.count)).collect();
        assert_eq!(told, [(None, 1), (Some("host-1"), 4), (None, 1)], "causes with open letters, counted whole");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_search_takes_its_text_literally_and_no_notice_of_capitals() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let odd = Model { error: "a_b \\ c".into(), ..letter("bb", None, "open", 2_000) };
        let about = odd.entity.clone().unwrap_or_default().to_uppercase();
        store(&rig, vec![letter("aa", None, "open", 1_000), odd]).await;
        for (text, expected) in [
            ("DISK 100% F", vec!["aa"]),
            ("disk%full", vec![]),
            ("a_B", vec!["bb"]),
            ("_b", vec!["bb"]),
            ("\\", vec!["bb"]),
            ("session.CREATE", vec!["bb", "aa"]),
            (&about, vec!["bb"]),
        ] {
            let filter = LetterFilter { q: Some(text.into()), ..open() };
            let rows = queries::dead_letters(rig.engine.reader(), &filter, None, 10).await.expect("readable");
            let found: Vec<_> = rows.iter().map(|row| &*row.fingerprint).collect();
            assert_eq!(found, expected, "{text}");
            let causes = all(&rig, &filter).await;
            assert_eq!(causes.iter().map(|row| &*row.fingerprint).collect::<Vec<_>>(), expected, "{text}");
        }
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn counting_causes_reads_one_index_and_no_letter() {
    let rig = Rig::sqlite().await;
    let statement = causes::page(DbBackend::Sqlite, &open(), None, 50);
    let explain = Statement { sql: format!("EXPLAIN QUERY PLAN {}", statement.sql), ..statement };
    let rows = rig.engine.reader().query_all_raw(explain).await.expect("a plan");
    let plan: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").expect("a line")).collect();
    assert!(plan.iter().any(|line| line.contains("COVERING INDEX idx_dead_letters_cause")), "{plan:?}");
    rig.engine.stop().await;
}
