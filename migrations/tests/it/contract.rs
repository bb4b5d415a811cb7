//! What users of the schema rely on: the contract's columns, types, defaults and indexes.

use std::collections::BTreeMap;

use migrations::testing::TestDatabase;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

/// Table, column, type, nullable, default, as PostgreSQL spells them.
const COLUMNS: &[(&str, &str, &str, bool, Option<&str>)] = &[
    ("platform_controllers", "id", "uuid", false, Some("gen_random_uuid()")),
    ("platform_controllers", "controller_id", "character varying(255)", false, None),
    ("platform_controllers", "platform", "character varying(50)", false, None),
    ("platform_controllers", "display_name", "character varying(255)", true, None),
    ("platform_controllers", "status", "character varying(50)", true, Some("'unknown'")),
    ("platform_controllers", "version", "character varying(50)", true, None),
    ("platform_controllers", "capabilities", "jsonb", true, Some("'[]'")),
    ("platform_controllers", "cluster_info", "jsonb", true, Some("'{}'")),
    ("platform_controllers", "last_heartbeat", "timestamp with time zone", true, None),
    ("platform_controllers", "created_at", "timestamp with time zone", true, Some("CURRENT_TIMESTAMP")),
    ("platform_controllers", "updated_at", "timestamp with time zone", true, Some("CURRENT_TIMESTAMP")),
    ("event_log", "id", "bigint", false, None),
    ("event_log", "event_id", "uuid", false, None),
    ("event_log", "subject", "character varying(255)", false, None),
    ("event_log", "payload", "jsonb", false, None),
    ("event_log", "published_at", "timestamp with time zone", true, Some("CURRENT_TIMESTAMP")),
    ("event_log", "processed_at", "timestamp with time zone", true, None),
    ("event_log", "processed_by", "character varying(255)", true, None),
    ("event_log", "status", "character varying(50)", true, Some("'published'")),
    ("event_log", "error_message", "text", true, None),
    ("sessions", "platform", "character varying(50)", false, Some("'kubernetes'")),
    ("sessions", "controller_id", "character varying(255)", true, None),
    ("installed_applications", "install_status", "character varying(50)", true, Some("'pending'")),
    ("installed_applications", "install_message", "text", true, None),
    ("installed_applications", "platform", "character varying(50)", true, Some("'kubernetes'")),
];

/// Name of the index, and what its definition must contain on both databases.
const INDEXES: &[(&str, &[&str])] = &[
    ("idx_event_log_subject", &["(subject)"]),
    ("idx_event_log_status", &["(status)"]),
    ("idx_event_log_published_at", &["(published_at)"]),
    ("idx_event_log_event", &["UNIQUE", "(event_id, direction)"]),
    ("idx_event_log_entity", &["UNIQUE", "(entity, entity_seq)"]),
    ("idx_event_log_outbox", &["WHERE", "'pending'", "ready"]),
    (
        "idx_event_log_unfinished",
        &["(controller_id, status, turn, id)", "WHERE", "'command'", "'published'", "'processing'"],
    ),
    ("idx_sessions_status", &["(status, created_ms, session_id)"]),
    ("idx_sessions_wake", &["(wake_ms)", "WHERE", "wake_ms IS NOT NULL"]),
    ("idx_applications_living", &["UNIQUE", "(platform, template_name)", "WHERE", "'uninstalled'"]),
    ("idx_applications_wake", &["(wake_ms)", "WHERE", "wake_ms IS NOT NULL"]),
    ("idx_sessions_living", &["(created_ms, session_id)", "WHERE", "'deleted'"]),
    ("idx_sessions_user_living", &["(user_id, created_ms, session_id)", "WHERE", "<>", "'deleted'"]),
    ("idx_sessions_user_gone", &["(user_id, created_ms, session_id)", "WHERE", "=", "'deleted'"]),
    ("idx_sessions_platform_status", &["(platform, status, created_ms, session_id)"]),
    ("idx_sessions_controller_status", &["(controller_id, status, created_ms, session_id)"]),
    ("idx_sessions_template_status", &["(template_id, status, created_ms, session_id)"]),
    ("idx_sessions_open", &["(controller_id, platform)", "WHERE", "command_id IS NOT NULL"]),
    ("idx_dead_letters_status", &["(status, created_ms, id)"]),
    ("idx_dead_letters_uncopied", &["WHERE", "NOT copied"]),
    ("idx_dead_letters_created", &["(created_ms, id)"]),
    ("idx_dead_letters_cause", &["(fingerprint, platform, controller_id, status, created_ms, id)"]),
    ("idx_dead_letters_closed", &["(updated_ms)", "WHERE", "'open'"]),
    ("idx_event_log_decisions", &["(id)", "WHERE", "'decision'"]),
    ("idx_jobs_created", &["(created_ms, job_id)"]),
    ("idx_jobs_running", &["(created_ms)", "WHERE", "'running'"]),
    ("idx_jobs_finished", &["(finished_ms)", "WHERE", "finished_ms IS NOT NULL"]),
    ("idx_idempotency_keys_created", &["(created_ms)"]),
];

type Found = BTreeMap<String, (String, bool, Option<String>)>;

/// The columns of a table: type, nullable, default.
async fn columns(test: &TestDatabase, table: &str) -> anyhow::Result<Found> {
    let sql = match test.backend() {
        DbBackend::Sqlite => format!(
            "SELECT name, type AS kind, \"notnull\" = 0 AS nullable, dflt_value AS def FROM pragma_table_info('{table}')"
        ),
        _ => format!(
            "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS kind, NOT attnotnull AS nullable,
                    pg_get_expr(adbin, adrelid) AS def
             FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
             WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        ),
    };
    let mut found = Found::new();
    for row in test.database.reader.query_all_raw(Statement::from_string(test.backend(), sql)).await? {
        let facts = (row.try_get("", "kind")?, row.try_get("", "nullable")?, row.try_get("", "def")?);
        found.insert(row.try_get("", "name")?, facts);
    }
    Ok(found)
}

async fn indexes(test: &TestDatabase) -> anyhow::Result<BTreeMap<String, String>> {
    let sql = match test.backend() {
        DbBackend::Sqlite => {
            "SELECT name, replace(sql, '\"', '') AS def FROM sqlite_master WHERE type = 'index' AND sql <> ''"
        }
        _ => "SELECT indexname::text AS name, indexdef AS def FROM pg_indexes WHERE schemaname = 'public'",
    };
    let rows = test.database.reader.query_all_raw(Statement::from_string(test.backend(), sql)).await?;
    rows.iter().map(|row| Ok((row.try_get("", "name")?, row.try_get("", "def")?))).collect()
}

#[tokio::test]
async fn every_column_of_the_contract_has_its_type_and_default() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        for (table, column, kind, nullable, default) in COLUMNS {
            let found = columns(test, table).await?;
            let (is, may_be_null, def) = found.get(*column).unwrap_or_else(|| panic!("no {table}.{column}"));
            let at = format!("{table}.{column}: {is} {may_be_null} {def:?}");
            if test.backend() == DbBackend::Postgres {
                assert_eq!(is, kind, "{at}");
            }
            let key = *column == "id"; // SQLite's keys need no NOT NULL to refuse it
            assert!(key || may_be_null == nullable, "{at}");
            let same = match default {
                Some("gen_random_uuid()") => def.is_some(),
                Some(text) => def.as_deref().is_some_and(|d| d.contains(text)),
                None => key || def.is_none(),
            };
            assert!(same, "{at}");
        }
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn every_index_exists() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        let found = indexes(test).await?;
        for (name, parts) in INDEXES {
            let def = found.get(*name).unwrap_or_else(|| panic!("no index {name}: {found:#?}"));
            for part in *parts {
                assert!(def.contains(part), "{name} lacks {part}: {def}");
            }
        }
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn a_session_is_in_no_index_that_is_not_needed() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        let needed = |name: &&String| INDEXES.iter().any(|(known, _)| known == name) || *name == "idx_sessions_tags";
        let found = indexes(test).await?;
        let more: Vec<_> =
            found.keys().filter(|name| name.contains("_sessions_")).filter(|name| !needed(name)).collect();
        assert!(more.is_empty(), "each is written whenever a session changes its state: {more:?}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn a_row_with_only_the_contracts_columns_gets_the_contracts_defaults() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        let db = &test.database.writer;
        for name in ["a", "b"] {
            let sql = format!("INSERT INTO platform_controllers (controller_id, platform) VALUES ('{name}', 'docker')");
            db.execute_unprepared(&sql).await?;
        }
        let sql = "SELECT id, status, created_at, capabilities FROM platform_controllers";
        let rows = db.query_all_raw(Statement::from_string(test.backend(), sql)).await?;
        let mut ids = Vec::new();
        for row in &rows {
            let id: Uuid = row.try_get("", "id")?;
            assert_eq!((id.get_version_num(), id.get_variant()), (4, uuid::Variant::RFC4122), "{id}");
            assert_eq!(row.try_get::<String>("", "status")?, "unknown");
            let _: sea_orm::prelude::DateTimeUtc = row.try_get("", "created_at")?;
            let can: sea_orm::prelude::Json = row.try_get("", "capabilities")?;
            assert_eq!(can.as_array().map(Vec::len), Some(0));
            ids.push(id);
        }
        assert_ne!(ids[0], ids[1]);
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn an_event_is_logged_once_for_each_direction() -> anyhow::Result<()> {
    TestDatabase::each(async |test| {
        let db = &test.database.writer;
        let insert = |seq: i32, direction: &str| {
            let sql = if test.backend() == DbBackend::Postgres {
                "INSERT INTO event_log (event_id, subject, payload, entity, entity_seq, kind, direction, created_ms)
                 VALUES ($1, 's', '{}', 'session:x', $2, 'report', $3, 0)"
            } else {
                "INSERT INTO event_log (event_id, subject, payload, entity, entity_seq, kind, direction, created_ms)
                 VALUES (?, 's', '{}', 'session:x', ?, 'report', ?, 0)"
            };
            let values = [Uuid::nil().into(), seq.into(), direction.into()];
            db.execute_raw(Statement::from_sql_and_values(test.backend(), sql, values))
        };
        insert(1, "out").await?;
        insert(2, "in").await?;
        insert(3, "in").await.expect_err("the same event twice");
        insert(2, "own").await.expect_err("the same place in the fold twice");
        insert(3, "own").await?;
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn the_outbox_is_read_through_its_index() -> anyhow::Result<()> {
    let test = TestDatabase::sqlite().await?;
    let sql = "EXPLAIN QUERY PLAN SELECT * FROM event_log INDEXED BY idx_event_log_outbox \
               WHERE controller_id = 'a' AND status = 'pending' AND ready ORDER BY turn, id LIMIT 100";
    let rows = test.database.reader.query_all_raw(Statement::from_string(test.backend(), sql)).await?;
    let plan = rows.iter().map(|r| r.try_get::<String>("", "detail")).collect::<Result<Vec<_>, _>>()?.join("\n");
    assert_eq!(
        plan, "SEARCH event_log USING INDEX idx_event_log_outbox (controller_id=?)",
        "nothing else read, nothing sorted"
    );
    Ok(())
}

#[tokio::test]
async fn tags_are_looked_up_in_their_index_on_postgresql() -> anyhow::Result<()> {
    let test = TestDatabase::postgres().await?;
    let db = &test.database.writer;
    db.execute_unprepared(
        "INSERT INTO sessions (session_id, user_id, template_id, template, desired, status, tags, created_ms, updated_ms)
         SELECT gen_random_uuid(), 'u', 't', '{}', 'running', 'running',
                CASE WHEN n % 100 = 0 THEN '[\"rare\"]'::jsonb ELSE '[]'::jsonb END, n, n
         FROM generate_series(1, 20000) AS n",
    )
    .await?;
    db.execute_unprepared("ANALYZE sessions").await?;
    let sql = "EXPLAIN SELECT * FROM sessions WHERE tags @> '[\"rarer\"]'::jsonb AND tags <> '[]'::jsonb
               ORDER BY created_ms DESC, session_id DESC LIMIT 51";
    let rows = db.query_all_raw(Statement::from_string(test.backend(), sql)).await?;
    let plan = rows.iter().map(|r| r.try_get::<String>("", "QUERY PLAN")).collect::<Result<Vec<_>, _>>()?.join("\n");
    assert!(plan.contains("idx_sessions_tags"), "{plan}");
    Ok(())
}
