//! Steps go up, down, up again, and several at once, and never over a newer schema.

use migrations::connect::{Role, open};
use migrations::testing::TestDatabase;
use migrations::{Error, down, migrate, schema, status};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

/// Every table and index with its definition, to compare two schemas.
async fn shape(db: &DatabaseConnection) -> anyhow::Result<Vec<String>> {
    let sql = match db.get_database_backend() {
        sea_orm::DbBackend::Sqlite => {
            "SELECT coalesce(sql, name) AS line FROM sqlite_master WHERE name <> 'sqlite_sequence'"
        }
        _ => {
            "SELECT concat_ws(' ', table_name, column_name, data_type, column_default) AS line
             FROM information_schema.columns WHERE table_schema = 'public'
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
        }
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let mut lines = rows.iter().map(|r| r.try_get::<String>("", "line")).collect::<Result<Vec<_>, _>>()?;
    lines.sort();
    Ok(lines)
}

#[tokio::test]
async fn up_down_up_gives_the_same_schema() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        let db = &test.database;
        let first = shape(&db.writer).await?;
        assert!(first.len() > 15, "{first:#?}");
        let steps = status(db).await?;
        assert!(steps.iter().all(|s| s.applied));
        let undone = down(db, steps.len() as u32).await?;
        assert_eq!(undone, steps.iter().rev().map(|s| s.name.clone()).collect::<Vec<_>>());
        assert!(status(db).await?.iter().all(|s| !s.applied));
        let left = shape(&db.writer).await?;
        assert!(left.iter().all(|line| line.contains("seaql_migrations")), "{left:#?}");
        assert_eq!(migrate(db).await?.steps.len(), steps.len());
        assert_eq!(shape(&db.writer).await?, first);
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_run_finds_nothing_to_do() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        assert_eq!(migrate(&test.database).await?.steps, Vec::<String>::new());
        schema::require_current(&test.database).await?;
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn one_step_down_is_one_step_behind() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        let last = status(&test.database).await?.pop().expect("a step").name;
        assert_eq!(down(&test.database, 1).await?, std::slice::from_ref(&last));
        let behind = schema::require_current(&test.database).await;
        assert!(matches!(behind, Err(Error::Behind { missing: 1 })), "{behind:?}");
        assert_eq!(migrate(&test.database).await?.steps, [last]);
        anyhow::Ok(())
    })
    .await
}

async fn start_together(test: &TestDatabase) -> anyhow::Result<()> {
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = test.url.clone();
        starting.spawn(async move {
            let db = open(&url, Role::Tool).await?;
            let applied = migrate(&db).await?.steps.len();
            db.close().await?;
            Ok::<_, Error>(applied)
        });
    }
    let (mut worked, all) = (0, status(&test.database).await?.len());
    while let Some(done) = starting.join_next().await {
        let applied = done??;
        assert!(applied == 0 || applied == all, "half a schema: {applied} steps");
        worked += usize::from(applied > 0);
    }
    assert_eq!(worked, 1, "exactly one of them migrates");
    let ids = Statement::from_string(test.backend(), "SELECT value FROM meta WHERE key = 'installation_id'");
    assert_eq!(test.database.reader.query_all_raw(ids).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_migrate_once_on_postgres() -> anyhow::Result<()> {
    start_together(&TestDatabase::empty_postgres().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_migrate_once_on_sqlite() -> anyhow::Result<()> {
    start_together(&TestDatabase::empty_sqlite().await?).await
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        let db = &test.database;
        let later = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_later', 0)";
        db.writer.execute_unprepared(later).await?;
        let before = shape(&db.writer).await?;
        for refused in [
            migrate(db).await.map(|_| ()),
            down(db, 1).await.map(|_| ()),
            status(db).await.map(|_| ()),
            open(&test.url, Role::Tool).await.map(|_| ()),
        ] {
            let error = refused.expect_err("refused");
            assert!(matches!(&error, Error::Newer { found } if found == "m20990101_000001_later"), "{error:?}");
            assert!(error.to_string().contains("run that version or restore a backup"), "{error}");
        }
        assert_eq!(shape(&db.writer).await?, before);
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn looking_at_a_fresh_database_creates_nothing() -> anyhow::Result<()> {
    for test in [TestDatabase::empty_sqlite().await?, TestDatabase::empty_postgres().await?] {
        assert!(status(&test.database).await?.iter().all(|s| !s.applied));
        assert_eq!(shape(&test.database.writer).await?, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test]
async fn the_installation_has_an_id_that_stays() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        let id = || async {
            let sql = "SELECT value FROM meta WHERE key = 'installation_id'";
            let row = test.database.reader.query_one_raw(Statement::from_string(test.backend(), sql)).await?;
            anyhow::Ok(row.expect("a row").try_get::<String>("", "value")?)
        };
        let first = id().await?;
        assert_eq!(uuid::Uuid::parse_str(&first)?.get_version_num(), 4);
        migrate(&test.database).await?;
        assert_eq!(id().await?, first);
        anyhow::Ok(())
    })
    .await
}
