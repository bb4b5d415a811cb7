//! What the loops ask costs what is due, not what is there: the plans of both databases.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::store::bulk::Update;
use engine::verify::{self, Position};
use engine::{retention, timers};
use migrations::testing::TestDatabase;
use sea_orm::{ConnectionTrait, DbBackend, QueryTrait, Statement, TransactionTrait};
use uuid::Uuid;

use crate::rig::{Rig, eventually};

/// Enough rows that have lived for a scan to cost more than an index.
const LIVED: &str = "
    INSERT INTO sessions (session_id, user_id, template_id, template, platform, desired, status, created_ms, updated_ms)
        SELECT gen_random_uuid(), 'ann', 'app', '{}', 'noop', 'deleted', 'deleted', n, n FROM generate_series(1, 20000) AS n;
    INSERT INTO event_log (event_id, subject, payload, status, entity, entity_seq, kind, direction, created_ms)
        SELECT gen_random_uuid(), 'test', '{}', 'completed', 'test:' || n, 1, 'command', 'out', n FROM generate_series(1, 20000) AS n;
    ANALYZE sessions; ANALYZE event_log;";

async fn plan(db: &impl ConnectionTrait, statement: Statement) -> String {
    let (explain, column) = match db.get_database_backend() {
        DbBackend::Postgres => ("EXPLAIN", "QUERY PLAN"),
        _ => ("EXPLAIN QUERY PLAN", "detail"),
    };
    let sql = format!("{explain} {}", statement.sql);
    let values = statement.values.unwrap_or(sea_orm::Values(Vec::new()));
    let explain = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let rows = db.query_all_raw(explain).await.expect("a plan");
    rows.iter().map(|row| row.try_get::<String>("", column).expect("a line") + "\n").collect()
}

async fn aged() -> [Rig; 2] {
    let rigs = [Rig::sqlite().await, Rig::postgres().await];
    rigs[1].database.database.writer.execute_unprepared(LIVED).await.expect("written");
    rigs
}

/// An engine on a database, and what it asks of it.
async fn overheard(mut database: TestDatabase) -> (Rig, Arc<Mutex<Vec<Statement>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let hear = move |info: &sea_orm::metric::Info<'_>| heard.lock().unwrap().push(info.statement.clone());
    database.database.reader.set_metric_callback(hear);
    (Rig::on(database).await, asked)
}

#[tokio::test]
async fn timers_are_found_by_what_is_due() {
    for rig in aged().await {
        let db = rig.engine.reader();
        for question in timers::questions(db.get_database_backend(), 1) {
            let plan = plan(db, question).await;
            assert!(plan.contains("idx_sessions_wake"), "{plan}");
        }
    }
}

#[tokio::test]
async fn what_waits_for_a_place_or_its_controller_is_found_among_what_waits() {
    let databases = [TestDatabase::sqlite().await, TestDatabase::postgres().await];
    for database in databases.map(|database| database.expect("a database")) {
        if database.backend() == DbBackend::Postgres {
            database
                .database
                .writer
                .execute_unprepared(&LIVED.replace("'deleted'", "'running'"))
                .await
                .expect("written");
        }
        let (rig, asked) = overheard(database).await;
        rig.create().await; // for which there is no place yet
        let _controller = rig.controller().await;
        let looked = || async {
            let asked = asked.lock().unwrap();
            let of =
                |what: &str| asked.iter().find(|one| one.sql.contains("FROM sessions c") && one.sql.contains(what));
            Some([of("c.controller_id IS NULL")?.clone(), of("c.controller_id = $1")?.clone()])
        };
        for question in eventually("placement looks", looked).await {
            let plan = plan(rig.engine.reader(), question.clone()).await;
            assert!(plan.contains("idx_sessions_open"), "{question}\n{plan}");
        }
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_look_for_old_rows_reads_on_from_where_the_last_one_ended() {
    for rig in aged().await {
        let db = rig.engine.reader();
        let question = retention::following(19_000, 1).build(db.get_database_backend());
        let plan = plan(db, question).await;
        let by_key = if db.get_database_backend() == DbBackend::Postgres { "event_log_pkey" } else { "PRIMARY KEY" };
        assert!(plan.contains(by_key) && !plan.to_lowercase().contains("sort"), "{plan}");
    }
}

#[tokio::test]
async fn what_is_written_is_found_by_key_while_the_tables_are_still_small() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let db = &rig.database.database.writer;
        let guard = "event_log.direction = 'out' AND event_log.status = 'pending'";
        let update = Update::new("event_log", "event_id", ["status"]).guarded(guard, &[]);
        let values = (0..32).flat_map(|_| [Uuid::nil().into(), "published".into()]);
        let backend = db.get_database_backend();
        let plan = plan(db, Statement::from_sql_and_values(backend, update.text(backend, 32), values)).await;
        assert!(plan.contains("idx_event_log_event"), "{plan}");
        assert!(!plan.contains("idx_event_log_status") && !plan.contains("Bitmap"), "{plan}");
    }
}

/// Sessions, each with a log, that PostgreSQL has not analysed yet.
const YOUNG: &str = "
    ALTER TABLE sessions SET (autovacuum_enabled = off); ALTER TABLE event_log SET (autovacuum_enabled = off);
    INSERT INTO sessions (session_id, user_id, template_id, template, platform, desired, status, created_ms, updated_ms)
        SELECT gen_random_uuid(), 'ann', 'app', '{}', 'noop', 'deleted', 'deleted', n, n FROM generate_series(1, 5000) AS n;
    INSERT INTO event_log (event_id, subject, payload, status, entity, entity_seq, kind, direction, created_ms)
        SELECT session_id, 'test', '{}', 'completed', 'session:' || session_id, 1, 'report', 'in', created_ms FROM sessions;";

#[tokio::test]
async fn a_page_of_a_scan_is_found_by_key_while_the_tables_are_not_analysed() {
    let (rig, asked) = overheard(TestDatabase::postgres().await.expect("a database")).await;
    rig.engine.stop().await;
    rig.database.database.writer.execute_unprepared(YOUNG).await.expect("written");
    asked.lock().unwrap().clear();
    for at in [Position::start(), Position::Rows { of: "session".into(), after: None }] {
        verify::page(rig.engine.reader(), &at, verify::PAGE).await.expect("readable");
    }
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    assert!(asked.iter().any(|one| one.sql.contains("\"sessions\"")), "{asked:?}");
    let tx = rig.engine.reader().begin().await.expect("begun");
    for statement in asked {
        if statement.sql.starts_with("SET ") {
            tx.execute_raw(statement).await.expect("set");
        } else {
            let plan = plan(&tx, statement.clone()).await;
            assert!(read_through(&plan).is_empty(), "{}\n{plan}", statement.sql);
        }
    }
}

#[tokio::test]
async fn a_look_for_old_records_reads_those_that_are_closed() {
    for rig in aged().await {
        let db = rig.engine.reader();
        let backend = db.get_database_backend();
        let (letters, jobs) =
            (retention::closed(5_000, 1).build(backend), retention::finished(5_000, 1).build(backend));
        for (question, index) in [(letters, "idx_dead_letters_closed"), (jobs, "idx_jobs_finished")] {
            let plan = plan(db, question).await;
            assert!(plan.contains(index) && !plan.to_uppercase().contains("SORT"), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}

/// Tables that grow with use; `e`, `t` and `c` are what statements call them.
const GROW: [&str; 9] =
    ["event_log", "e", "sessions", "installed_applications", "debts", "t", "c", "dead_letters", "jobs"];

/// The tables that a plan reads from one end to the other.
fn read_through(plan: &str) -> Vec<&str> {
    let scanned = plan.lines().filter_map(|line| {
        let rest = line.trim().trim_start_matches("-> ").trim_start();
        let rest = rest.strip_prefix("Seq Scan on ").or_else(|| rest.strip_prefix("SCAN "))?;
        rest.split(' ').next().filter(|_| !rest.contains(" USING "))
    });
    scanned.filter(|name| GROW.contains(name)).collect()
}

#[tokio::test]
async fn the_doctor_asks_nothing_that_costs_what_exists() {
    let databases = [TestDatabase::sqlite().await, TestDatabase::postgres().await];
    for database in databases.map(|database| database.expect("a database")) {
        let (rig, asked) = overheard(database).await;
        let mut controller = rig.controller().await;
        rig.running(&mut controller).await;
        controller.publish("streamspace.session.status", "not a report".into()).await;
        rig.dead_letter("undecodable").await;
        rig.engine.stop().await;
        asked.lock().unwrap().clear();
        rig.engine.doctor().await;
        rig.clock.advance(Duration::from_secs(120)); // silence and letters are looked into
        rig.engine.doctor().await;
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        assert!(asked.iter().any(|one| one.sql.contains("dead_letters")) && asked.len() > 30, "{}", asked.len());
        for statement in asked {
            let tx = rig.engine.reader().begin().await.expect("begun");
            if tx.get_database_backend() == DbBackend::Postgres {
                tx.execute_unprepared("SET LOCAL enable_seqscan = off").await.expect("set"); // the tables are small here
            }
            let newest = statement.sql.replace("\"event_log\".\"id\"", "id").contains("ORDER BY id DESC LIMIT"); // so many and no more
            let plan = plan(&tx, statement.clone()).await;
            assert!(newest || read_through(&plan).is_empty(), "{statement}\n{plan}");
        }
    }
}
