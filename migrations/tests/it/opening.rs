//! Opening a database: durable settings, and errors with advice.

use std::collections::HashSet;
use std::error::Error as _;

use migrations::connect::{Role, open};
use migrations::testing::TestDatabase;
use migrations::{Error, migrate, status};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

async fn pragma(db: &DatabaseConnection, name: &str) -> anyhow::Result<String> {
    let sql = format!("SELECT CAST({name} AS TEXT) AS value FROM pragma_{name}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    Ok(row.expect("one row").try_get("", "value")?)
}

#[tokio::test]
async fn sqlite_writes_with_wal_and_full_syncs_and_reads_without_the_right_to_write() -> anyhow::Result<()> {
    let test = TestDatabase::sqlite().await?;
    let db = &test.database;
    assert_eq!(pragma(&db.writer, "journal_mode").await?, "wal");
    assert_eq!(pragma(&db.writer, "synchronous").await?, "2");
    assert_eq!(pragma(&db.writer, "foreign_keys").await?, "1");
    assert_eq!(db.writer.get_sqlite_connection_pool().options().get_max_connections(), 1);
    assert_eq!(pragma(&db.reader, "journal_mode").await?, "wal");
    db.reader.execute_unprepared("DELETE FROM meta").await.expect_err("a reader that writes");
    Ok(())
}

#[tokio::test]
async fn sqlite_readers_go_on_while_the_writer_is_in_a_transaction() -> anyhow::Result<()> {
    use sea_orm::TransactionTrait;
    let test = TestDatabase::sqlite().await?;
    let writing = test.database.writer.begin().await?;
    writing.execute_unprepared("DELETE FROM meta").await?;
    let count = Statement::from_string(test.backend(), "SELECT value FROM meta");
    assert_eq!(test.database.reader.query_all_raw(count).await?.len(), 1, "what is not committed is not seen");
    writing.rollback().await?;
    Ok(())
}

#[tokio::test]
async fn a_url_of_no_known_kind_is_refused_with_examples() {
    for url in
        ["", "mysql://x/y", "streamspace.db", "sqlite::memory:", "sqlite://x?mode=memory", "postgres://h:notaport/d"]
    {
        let error = open(url, Role::Tool).await.expect_err(url);
        assert!(matches!(error, Error::Url(_)), "{url}: {error:?}");
        assert!(error.to_string().contains("sqlite://path?mode=rwc"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable_and_its_password_stays_secret() -> anyhow::Result<()> {
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let url = format!("postgres://someone:hunter2@127.0.0.1:{free}/streamspace");
    let error = open(&url, Role::SERVICE).await.expect_err("nobody there");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{free}/streamspace")), "{error}");
    assert!(!format!("{error:?} {error} {:?}", error.source()).contains("hunter2"));
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_told_apart() -> anyhow::Result<()> {
    let test = TestDatabase::empty_postgres().await?;
    let secret = test.url.split(':').nth(2).and_then(|rest| rest.split('@').next()).expect("a password");
    let wrong = open(&test.url.replace(secret, "wrong"), Role::Tool).await;
    assert!(matches!(wrong, Err(Error::Credentials { .. })), "{wrong:?}");
    let missing = open(&format!("{}_not", test.url), Role::Tool).await;
    assert!(matches!(missing, Err(Error::Missing { .. })), "{missing:?}");
    Ok(())
}

#[tokio::test]
async fn a_missing_file_a_missing_folder_and_another_kind_of_file_are_told_apart() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str, mode: &str| format!("sqlite://{}{mode}", folder.path().join(name).display());
    let missing = open(&at("none.db", ""), Role::Tool).await;
    assert!(matches!(missing, Err(Error::Missing { .. })), "{missing:?}");
    let missing = open(&at("nowhere/new.db", "?mode=rwc"), Role::Tool).await;
    assert!(matches!(missing, Err(Error::Missing { .. })), "{missing:?}");
    std::fs::write(folder.path().join("letter.txt"), "Dear reader, this is no database. ".repeat(100))?;
    let damaged = open(&at("letter.txt", ""), Role::Tool).await;
    assert!(matches!(damaged, Err(Error::Damaged { .. })), "{damaged:?}");
    Ok(())
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_refused_at_once() -> anyhow::Result<()> {
    let test = TestDatabase::sqlite().await?;
    let url = test.url.replace("mode=rwc", "mode=ro");
    let refused = open(&url, Role::SERVICE).await;
    assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_stops_the_migration_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let test = TestDatabase::empty_sqlite().await?;
    test.database.writer.execute_unprepared("PRAGMA max_page_count = 9").await?;
    let full = migrate(&test.database).await;
    assert!(matches!(full, Err(Error::DiskFull { .. })), "{full:?}");
    test.database.writer.execute_unprepared("PRAGMA max_page_count = 1073741823").await?;
    let all = status(&test.database).await?.len();
    assert_eq!(
        migrate(&test.database).await?.steps.len(),
        all,
        "after room was made it goes on as if nothing had been"
    );
    Ok(())
}

/// Limits the file to so many pages, on this connection and on those opened later.
async fn limit(db: &DatabaseConnection, pages: u32) -> anyhow::Result<()> {
    let pool = db.get_sqlite_connection_pool();
    let options = (*pool.connect_options()).clone().pragma("max_page_count", pages.to_string());
    pool.set_connect_options(options);
    db.execute_unprepared(&format!("PRAGMA max_page_count = {pages}")).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_committed_after_the_disk_was_full_is_there_for_everybody() -> anyhow::Result<()> {
    use sea_orm::TransactionTrait;
    let test = TestDatabase::sqlite().await?;
    let (writer, reader) = (&test.database.writer, &test.database.reader);
    let used: u32 = pragma(writer, "page_count").await?.parse()?;
    limit(writer, used + 2).await?;
    for _ in 0..2 {
        let tx = writer.begin().await?;
        let huge = format!("INSERT INTO meta (key, value) VALUES ('huge', '{}')", "x".repeat(100_000));
        tx.execute_unprepared(&huge).await.expect_err("there is no room");
        drop(tx); // SQLite has rolled back already, and the rollback that is sent now fails
    }
    limit(writer, 1_073_741_823).await?;
    let tx = writer.begin().await?;
    tx.execute_unprepared("INSERT INTO meta (key, value) VALUES ('kept', '1')").await?;
    tx.commit().await?;
    let kept = Statement::from_string(test.backend(), "SELECT value FROM meta WHERE key = 'kept'");
    assert_eq!(reader.query_all_raw(kept).await?.len(), 1, "what was committed is seen by a reader");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_distrusted_is_not_used_again_on_either_database() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        let writer = &test.database.writer;
        let postgres = test.backend() == sea_orm::DbBackend::Postgres;
        let who = if postgres {
            "SELECT pg_backend_pid()::bigint AS who"
        } else {
            writer.execute_unprepared("PRAGMA cache_size = 77").await?;
            "SELECT cache_size AS who FROM pragma_cache_size"
        };
        let mut before = HashSet::new();
        for round in 0..20 {
            if round == 10 {
                test.database.distrust();
            }
            let row = writer.query_one_raw(Statement::from_string(test.backend(), who)).await?.expect("one row");
            let who: i64 = row.try_get("", "who")?;
            assert!(round < 10 || !before.contains(&who), "{who} is used again");
            before.extend((round < 10).then_some(who));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_read_only_server_says_so() -> anyhow::Result<()> {
    let test = TestDatabase::empty_postgres().await?;
    let name = test.url.rsplit('/').next().expect("a name");
    let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    test.database.writer.execute_unprepared(&sql).await?;
    let standby = open(&test.url, Role::Tool).await?;
    let refused = migrate(&standby).await;
    assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
    Ok(())
}
