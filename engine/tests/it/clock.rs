//! The clock that everything is dated by.

use std::time::Duration;

use engine::clock::Clock;
use migrations::testing::TestDatabase;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

async fn by_the_server(db: &DatabaseConnection) -> i64 {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms";
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("asked").expect("a row");
    row.try_get("", "now_ms").expect("a number")
}

#[tokio::test]
async fn the_time_is_what_the_database_says_at_that_moment_in_whichever_engine() {
    let database = TestDatabase::postgres().await.expect("a database");
    let db = &database.database.reader;
    let engines = [Clock::default(), Clock::default()];
    for round in 0..50 {
        let before = by_the_server(db).await;
        let told = engines[round % 2].now_ms(db).await.expect("told");
        let after = by_the_server(db).await;
        assert!((before..=after).contains(&told), "{before} {told} {after}");
    }
    let [moved, other] = &engines;
    moved.advance(Duration::from_secs(3_600));
    assert!(moved.now_ms(db).await.expect("told") >= other.now_ms(db).await.expect("told") + 3_590_000);
}
