//! Questions to the whole log: what is found, and by which index.

use engine::events::{EventFilter, Pattern, list, select};
use sea_orm::{ConnectionTrait, DbBackend, QueryTrait, Statement, TransactionTrait};

use crate::rig::Rig;

fn pattern(text: &str) -> Option<Pattern> {
    Some(text.to_owned().try_into().expect("a pattern"))
}

#[tokio::test]
async fn every_filter_narrows_and_pages_stay_while_others_write() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let (id, _) = rig.running(&mut controller).await;
        let db = rig.engine.reader();
        let all = list(db, &EventFilter::default(), None, 100).await.expect("readable");
        assert!(all.len() >= 3 && all.windows(2).all(|two| two[0].id > two[1].id), "newest first");
        let entity = format!("session:{id}");
        let lane = crate::rig::lane();
        type Holds<'a> = Box<dyn Fn(&engine::store::event::Model) -> bool + 'a>;
        let middle = all[all.len() / 2].created_ms;
        let cases: Vec<(EventFilter, Holds<'_>)> = vec![
            (EventFilter { subject: pattern(&lane), ..Default::default() }, Box::new(|row| row.subject == lane)),
            (
                EventFilter { subject: pattern("streamspace.session.>"), ..Default::default() },
                Box::new(|row| row.subject.starts_with("streamspace.session.")),
            ),
            (EventFilter { subject: pattern("streamspace.session.*"), ..Default::default() }, Box::new(|_| false)),
            (
                EventFilter { subject: pattern("streamspace.decision.*"), ..Default::default() },
                Box::new(|row| row.subject.starts_with("streamspace.decision.")),
            ),
            (EventFilter { kind: Some("report".into()), ..Default::default() }, Box::new(|row| row.kind == "report")),
            (
                EventFilter { kind: Some("decision".into()), ..Default::default() },
                Box::new(|row| row.kind == "decision"),
            ),
            (EventFilter { entity: Some(entity.clone()), ..Default::default() }, Box::new(|row| row.entity == entity)),
            (
                EventFilter { status: Some("completed".into()), kind: Some("command".into()), ..Default::default() },
                Box::new(|row| row.status.as_deref() == Some("completed") && row.kind == "command"),
            ),
            (EventFilter { since_ms: Some(middle), ..Default::default() }, Box::new(|row| row.created_ms >= middle)),
            (EventFilter { until_ms: Some(middle), ..Default::default() }, Box::new(|row| row.created_ms < middle)),
        ];
        for (filter, holds) in cases {
            let found = list(db, &filter, None, 100).await.expect("readable");
            let expected: Vec<i64> = all.iter().filter(|row| holds(row)).map(|row| row.id).collect();
            assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{filter:?}");
        }
        let first = list(db, &EventFilter::default(), None, 2).await.expect("readable");
        rig.create().await;
        let rest = list(db, &EventFilter::default(), Some(first[1].id), 100).await.expect("readable");
        let walked: Vec<i64> = first.iter().chain(&rest).map(|row| row.id).collect();
        assert_eq!(walked, all.iter().map(|row| row.id).collect::<Vec<_>>());
        rig.engine.stop().await;
    }
}

async fn plan(db: &sea_orm::DatabaseConnection, filter: &EventFilter) -> String {
    let backend = db.get_database_backend();
    let asked = select(db, filter, Some(1_000), 50).await.expect("readable").build(backend);
    let explain = if backend == DbBackend::Postgres { "EXPLAIN" } else { "EXPLAIN QUERY PLAN" };
    let explain = Statement { sql: format!("{explain} {}", asked.sql), ..asked };
    let tx = db.begin().await.expect("begun");
    if backend == DbBackend::Postgres {
        tx.execute_unprepared("SET LOCAL enable_seqscan = off").await.expect("set"); // the table is small here
    }
    let rows = tx.query_all_raw(explain).await.expect("explained");
    let column = if backend == DbBackend::Postgres { "QUERY PLAN" } else { "detail" };
    rows.iter().map(|row| row.try_get::<String>("", column).expect("text")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_combination_of_filters_is_answered_by_an_index() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let db = rig.engine.reader();
        let sqlite = db.get_database_backend() == DbBackend::Sqlite;
        for bits in 0..64_u32 {
            let given = |bit: u32, value: &str| (bits >> bit & 1 == 1).then(|| value.to_owned());
            let filter = EventFilter {
                subject: given(0, "streamspace.session.create.noop.host-1").and_then(|text| pattern(&text)),
                kind: given(1, if bits & 1 == 1 { "command" } else { "decision" }),
                status: given(2, "failed"),
                entity: given(3, "session:x"),
                since_ms: given(4, "").map(|_| 0),
                until_ms: given(5, "").map(|_| i64::MAX / 2),
            };
            let plan = plan(db, &filter).await;
            let sorted = plan.contains("TEMP B-TREE") && filter.entity.is_none(); // one entity's log is short
            assert!(!(plan.contains("Seq Scan") || sqlite && sorted), "{filter:?}\n{plan}");
            let by = |index: &str| !sqlite || plan.contains(index);
            let leads = match &filter {
                EventFilter { entity: Some(_), .. } => by("idx_event_log_entity"),
                EventFilter { subject: Some(_), .. } => by("idx_event_log_subject"),
                EventFilter { status: Some(_), .. } => by("idx_event_log_status"),
                EventFilter { kind: Some(_), .. } => by("idx_event_log_decisions"),
                _ => by("INTEGER PRIMARY KEY"),
            };
            assert!(leads, "{filter:?}\n{plan}");
        }
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_commands_attempts_are_told_with_their_errors() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    controller.fail(&command, true).await;
    let due = || async { rig.session(id).await.next_attempt_ms };
    crate::rig::eventually("a next attempt", due).await;
    rig.clock.advance(std::time::Duration::from_secs(2));
    let again = controller.take().await;
    controller.report(&again, "running").await;
    rig.until(id, "running").await;
    let db = rig.engine.reader();
    let event_id = command["event_id"].as_str().expect("an id").parse().expect("an id");
    let row = engine::events::get(db, event_id).await.expect("readable").expect("the command");
    assert_eq!(row.kind, "command");
    let reports = engine::events::reports(db, &row, 10).await.expect("readable");
    assert_eq!(reports.len(), 2);
    let attempts = engine::attempts::attempts(db, &row, &reports).await.expect("readable");
    let told: Vec<_> = attempts.iter().map(|one| (one.attempt, one.outcome.as_str(), one.error.as_deref())).collect();
    assert_eq!(told, [(1, "failed", Some("boom: it went boom")), (2, "running", None)]);
}

#[test]
fn patterns_are_those_of_nats_with_the_wildcard_at_the_end() {
    for bad in ["", ".", "a..b", "a.*.b", ">", "*", "a.>.b", "a b", "a.b*"] {
        assert!(Pattern::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    let one = pattern("a.b.*").expect("a pattern");
    assert!(one.matches("a.b.c") && !one.matches("a.b.c.d") && !one.matches("a.b") && !one.matches("a.bc"));
    let more = pattern("a.b.>").expect("a pattern");
    assert!(more.matches("a.b.c") && more.matches("a.b.c.d") && !more.matches("a.b"));
}
