//! Ages a database: sessions and a log as years of use would leave them, written with plain SQL in batches.
//!
//! Of a hundred sessions seventy are deleted, twenty hibernated, three running and seven failed; each user has
//! twenty; one in a thousand is of a rare platform. They belong to a controller that does not exist, so that
//! nothing happens to them. Ids increase with time, like the engine's. Indexes are created at the end, from
//! their own definitions.

use anyhow::{Context, Result};
use migrations::connect::{self, Database, Role};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde::Serialize;

/// The size of a database.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Age {
    /// Number of sessions, in all states.
    pub sessions: u64,
    /// Number of rows of `event_log`.
    pub events: u64,
}

/// Sessions per statement.
const BATCH: u64 = 20_000;
/// Sessions per user.
pub(super) const PER_USER: u64 = 20;
/// Milliseconds between two creations.
const STEP_MS: i64 = 10_000;

/// The id of a session by its number, as the statements below generate it.
pub(super) fn session_id(age: Age, begin_ms: i64, number: u64) -> uuid::Uuid {
    debug_assert!(number <= age.sessions);
    let ms = begin_ms as u128 + u128::from(number) * STEP_MS as u128;
    uuid::Uuid::from_u128(ms << 80 | 0x7000_8000_u128 << 48 | u128::from(number))
}

/// Time of the first creation. It does not depend on the clock, so that ids can be computed again.
pub(super) const fn begin_ms(age: Age) -> i64 {
    1_790_000_000_000 - age.sessions as i64 * STEP_MS
}

pub(super) async fn fill(url: &str, age: Age) -> Result<()> {
    let database = connect::open(url, Role::Tool).await?;
    let db = &database.writer;
    if database.backend == DbBackend::Sqlite {
        db.execute_unprepared("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000").await?;
    }
    let indexes = indexes(&database).await?;
    for (name, _) in &indexes {
        db.execute_unprepared(&format!("DROP INDEX {name}")).await?;
    }
    let per_session = age.events / age.sessions;
    for first in (1..=age.sessions).step_by(BATCH as usize) {
        let last = (first + BATCH - 1).min(age.sessions);
        for sql in [sessions(&database, age, first, last), log(&database, age, first, last, per_session)] {
            db.execute_unprepared(&sql).await.with_context(|| format!("sessions {first} to {last}"))?;
        }
    }
    for (name, definition) in &indexes {
        db.execute_unprepared(definition).await.with_context(|| name.clone())?;
    }
    let settle: &[&str] = match database.backend {
        DbBackend::Postgres => &["VACUUM ANALYZE", "CHECKPOINT"], // as would happen in the course of time
        _ => &["PRAGMA wal_checkpoint(TRUNCATE)"],
    };
    for one in settle {
        db.execute_unprepared(one).await?;
    }
    Ok(())
}

/// Indexes of the two tables that no constraint creates, with their definitions.
async fn indexes(database: &Database) -> Result<Vec<(String, String)>> {
    let sql = match database.backend {
        DbBackend::Postgres => {
            "SELECT indexname AS name, indexdef AS definition FROM pg_indexes \
             WHERE tablename IN ('sessions', 'event_log') AND indexname LIKE 'idx_%'"
        }
        _ => {
            "SELECT name, sql AS definition FROM sqlite_master \
             WHERE type = 'index' AND tbl_name IN ('sessions', 'event_log') AND name LIKE 'idx_%'"
        }
    };
    let rows = database.writer.query_all_raw(Statement::from_string(database.backend, sql)).await?;
    rows.iter().map(|row| Ok((row.try_get("", "name")?, row.try_get("", "definition")?))).collect()
}

/// SQL fragments that differ between the databases.
struct Dialect {
    series: fn(&str, u64, u64) -> String,
    /// An id from a number: `{ms}` and `{number}` are expressions.
    id: fn(&str, &str) -> String,
    /// The same id as text.
    text: fn(&str, &str) -> String,
    time: fn(&str) -> String,
    json: &'static str,
}

fn dialect(database: &Database) -> Dialect {
    match database.backend {
        DbBackend::Postgres => Dialect {
            series: |name, first, last| format!("generate_series({first}::bigint, {last}::bigint) AS {name}"),
            id: |ms, number| {
                format!("(lpad(to_hex({ms}), 12, '0') || '70008000' || lpad(to_hex({number}), 12, '0'))::uuid")
            },
            text: |ms, number| {
                format!("(lpad(to_hex({ms}), 12, '0') || '70008000' || lpad(to_hex({number}), 12, '0'))::uuid::text")
            },
            time: |ms| format!("to_timestamp({ms} / 1000.0)"),
            json: "::jsonb",
        },
        _ => Dialect {
            series: |name, first, last| {
                format!(
                    "(WITH RECURSIVE s({name}) AS (SELECT {first} UNION ALL SELECT {name} + 1 FROM s WHERE {name} < {last}) \
                     SELECT {name} FROM s)"
                )
            },
            id: |ms, number| format!("unhex(printf('%012x70008000%012x', {ms}, {number}))"),
            text: |ms, number| format!("(printf('%08x-%04x-7000-8000-%012x', ({ms}) >> 16, ({ms}) & 65535, {number}))"),
            time: |ms| format!("strftime('%Y-%m-%dT%H:%M:%f+00:00', ({ms}) / 1000.0, 'unixepoch')"),
            json: "",
        },
    }
}

fn sessions(database: &Database, age: Age, first: u64, last: u64) -> String {
    let Dialect { series, id, json, .. } = dialect(database);
    let created = format!("({} + n * {STEP_MS})", begin_ms(age));
    format!(
        "INSERT INTO sessions (session_id, user_id, template_id, template, platform, controller_id, lane, desired, status, \
         generation, seen_generation, seen_epoch, seen_seq, entity_seq, created_ms, updated_ms, last_activity_ms) \
         SELECT {id}, 'user-' || (n / {PER_USER}), 'scratchpad', '{{\"name\":\"scratchpad\"}}'{json}, \
         CASE WHEN n % 1000 = 500 THEN 'rare' ELSE 'noop' END, 'bench-0', 'durable', \
         CASE WHEN n % 100 < 70 THEN 'deleted' WHEN n % 100 < 90 THEN 'hibernated' ELSE 'running' END, \
         CASE WHEN n % 100 < 70 THEN 'deleted' WHEN n % 100 < 90 THEN 'hibernated' WHEN n % 100 < 93 THEN 'running' ELSE 'failed' END, \
         3, 3, 1, n, {}, {created}, {created} + 5000, {created} + 5000 FROM {}",
        age.events / age.sessions,
        series("n", first, last),
        id = id(&created, "n"),
    )
}

fn log(database: &Database, age: Age, first: u64, last: u64, per_session: u64) -> String {
    let Dialect { series, id, text, time, json } = dialect(database);
    let created = format!("({} + n * {STEP_MS})", begin_ms(age));
    let at = format!("({created} + k * 100)");
    format!(
        "INSERT INTO event_log (event_id, subject, payload, published_at, processed_at, processed_by, status, entity, \
         entity_seq, kind, direction, lane, generation, attempt, controller_id, changes, stream_epoch, stream_seq, created_ms, processed_ms) \
         SELECT {event}, CASE WHEN k % 3 = 1 THEN 'streamspace.session.create.noop.bench-0' \
         WHEN k % 3 = 2 THEN 'streamspace.session.status.noop.bench-0' ELSE 'streamspace.session.delete.noop.bench-0' END, \
         '{{\"session_id\":\"00000000-0000-7000-8000-000000000000\",\"status\":\"running\"}}'{json}, {time}, {time}, 'bench-0', \
         'completed', 'session:' || {session}, k, \
         CASE WHEN k % 3 = 2 THEN 'report' WHEN k = 3 AND n % 20 = 0 THEN 'decision' ELSE 'command' END, \
         CASE WHEN k % 3 = 2 THEN 'in' WHEN k = 3 AND n % 20 = 0 THEN 'own' ELSE 'out' END, \
         'durable', 1, 1, 'bench-0', '{{\"status\":\"running\"}}'{json}, 1, n * {per_session} + k, {at}, {at} + 50 \
         FROM {}, {}",
        series("n", first, last),
        series("k", 1, per_session),
        event = id(&at, "(n * 64 + k)"),
        session = text(&created, "n"),
        time = time(&at),
    )
}
