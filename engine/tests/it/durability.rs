//! What is accepted is kept, also when the disk is full and when the answer to a commit is lost.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engine::WriteError;
use engine::doctor::Verdict;
use engine::store::session;
use engine::writer::Ask;
use migrations::connect::{Role, open};
use migrations::testing::TestDatabase;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, Statement};
use uuid::Uuid;

use crate::proxy::Proxy;
use crate::rig::{Rig, eventually, request};
use streams::testing::disk::SmallDisk;

/// Lets the file of a SQLite database grow to so many pages, on the writer's connection and on those that follow it.
async fn limit(rig: &Rig, pages: u32) {
    let writer = &rig.database.database.writer;
    let pool = writer.get_sqlite_connection_pool();
    pool.set_connect_options((*pool.connect_options()).clone().pragma("max_page_count", pages.to_string()));
    writer.execute_unprepared(&format!("PRAGMA max_page_count = {pages}")).await.expect("set");
}

async fn pages(rig: &Rig) -> u32 {
    let sql = Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT page_count AS n FROM pragma_page_count");
    let row = rig.database.database.writer.query_one_raw(sql).await.expect("readable").expect("one row");
    row.try_get("", "n").expect("a number")
}

/// Creates sessions until one is refused; the accepted ones.
async fn until_full(rig: &Rig) -> Vec<Uuid> {
    let mut accepted = Vec::new();
    for _ in 0..2_000 {
        match rig.engine.create_session(request()).await {
            Ok(row) => accepted.push(row.session_id),
            Err(error) => {
                assert!(error.to_string().contains("does not accept changes"), "{error}");
                return accepted;
            }
        }
    }
    panic!("it was never full");
}

async fn well(rig: &Rig) {
    eventually("it is well again by itself", || async { rig.engine.durable().await.ok() }).await;
}

/// Everybody sees them, also one who opens the file anew.
async fn all_are_there(rig: &Rig, accepted: &[Uuid]) {
    let other = open(&rig.database.url, Role::Tool).await.expect("opened");
    for id in accepted {
        let row = session::Entity::find_by_id(*id).one(&other.reader).await.expect("readable");
        assert!(row.is_some(), "session {id} was accepted and is gone");
    }
    other.close().await.expect("closed");
}

#[tokio::test]
async fn a_full_database_refuses_what_it_cannot_keep_says_so_and_goes_on_when_there_is_room() {
    let rig = Rig::sqlite().await;
    let mut accepted = Vec::new();
    for _ in 0..3 {
        limit(&rig, pages(&rig).await + 12).await;
        accepted.extend(until_full(&rig).await);
        assert!(rig.engine.durable().await.is_err(), "it is not ready");
        let report = rig.engine.doctor().await;
        let database = report.checks.iter().find(|check| check.name == "database").expect("checked");
        assert_eq!(database.verdict(), Verdict::Wrong, "{database:?}");
        for _ in 0..20 {
            match rig.engine.create_session(request()).await {
                Ok(row) => accepted.push(row.session_id),
                Err(error) => assert!(error.to_string().contains("does not accept changes"), "{error}"),
            }
            if let Some(first) = accepted.first() {
                let asked = rig.engine.ask(*first, Ask::Hibernate).await;
                assert!(asked.is_ok() || matches!(asked, Err(WriteError::Unavailable(_))), "{asked:?}");
            }
        }
        limit(&rig, 1_073_741_823).await;
        well(&rig).await;
        accepted.push(rig.create().await.session_id);
        all_are_there(&rig, &accepted).await;
    }
    assert!(accepted.len() > 3);
    assert_eq!(session::Entity::find().count(rig.engine.reader()).await.expect("readable"), accepted.len() as u64);
    rig.engine.stop().await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_answered_as_what_it_became() {
    let mut database = TestDatabase::postgres().await.expect("a database");
    let direct = database.database.clone();
    let proxy = Proxy::before(&database.url).await;
    database.database = open(&proxy.url, Role::SERVICE).await.expect("opened");
    let rig = Rig::on(database).await;
    // the server takes a second to commit, which is longer than it takes to notice that the connection is gone
    let slow = "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON sessions DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION dawdle()";
    direct.writer.execute_unprepared(slow).await.expect("created");
    let since = Instant::now();
    proxy.lose_the_answer_to("COMMIT");
    let row = rig.engine.create_session(request()).await.expect("it was committed, so it is accepted");
    assert!(since.elapsed() > Duration::from_millis(900), "nobody is answered while the transaction is in progress");
    assert_eq!(proxy.lost(), 1);
    let rows = session::Entity::find().all(&direct.reader).await.expect("readable");
    assert_eq!(rows.iter().map(|row| row.session_id).collect::<Vec<_>>(), [row.session_id], "and not twice");
    well(&rig).await;

    let refuse = "CREATE OR REPLACE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(1); RAISE EXCEPTION 'no' USING ERRCODE = '57014'; END $$";
    direct.writer.execute_unprepared(refuse).await.expect("replaced");
    proxy.lose_the_answer_to("COMMIT");
    let refused = rig.engine.create_session(request()).await;
    assert!(refused.is_err(), "it was not committed: {refused:?}");
    assert_eq!(session::Entity::find().count(&direct.reader).await.expect("readable"), 1);
    direct.writer.execute_unprepared("DROP TRIGGER dawdle ON sessions").await.expect("dropped");
    well(&rig).await;
    rig.create().await;
    rig.engine.stop().await;
}

/// A PostgreSQL server that keeps everything on this disk, until its standard input is closed.
fn server_on(disk: &SmallDisk) -> (Child, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/with-postgres.sh");
    let tell = format!("echo ${}; exec cat", migrations::testing::POSTGRES_URL);
    let mut command = Command::new(script);
    command.args(["sh", "-c", &tell]).env_remove(migrations::testing::POSTGRES_URL).env("TMPDIR", disk.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    let mut url = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut url).expect("its URL");
    (child, url.trim().to_owned())
}

#[tokio::test]
async fn postgresql_without_room_keeps_what_was_accepted_and_goes_on_when_there_is_some() {
    let Some(disk) = SmallDisk::mount(160).expect("a small disk") else { return };
    let (mut child, url) = server_on(&disk);
    let rig = Rig::on(TestDatabase::postgres_on(&url).await.expect("a database")).await;
    let mut accepted = vec![rig.create().await.session_id];
    disk.fill().expect("filled");
    accepted.extend(until_full(&rig).await);
    assert!(rig.engine.durable().await.is_err(), "it is not ready");
    disk.free().expect("freed");
    well(&rig).await;
    accepted.push(rig.create().await.session_id);
    all_are_there(&rig, &accepted).await;
    rig.engine.stop().await;
    drop(child.stdin.take());
    child.wait().expect("ended");
}
