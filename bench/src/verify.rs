//! How fast the log is compared with the tables: a log of made-up sessions, written by the database itself, and one whole scan of it.

use std::time::Instant;

use anyhow::{Result, ensure};
use engine::verify::{self, Report};
use migrations::connect::Database;
use sea_orm::{ConnectionTrait, DbBackend};

/// Rows of the log of a made-up session.
const EACH: u64 = 10;

/// What a scan took.
#[derive(Debug)]
pub struct Scanned {
    /// What was seen.
    pub report: Report,
    /// Events in a second, over the whole scan.
    pub per_second: f64,
}

/// Fills an empty database with so many events, and scans it.
///
/// # Errors
/// What the database says, or that the scan found a difference that is none.
pub async fn run(database: &Database, events: u64) -> Result<Scanned> {
    let sessions = events.div_ceil(EACH);
    for sql in fill(database.backend, sessions) {
        database.writer.execute_unprepared(&sql).await?;
    }
    let begun = Instant::now();
    let report = verify::whole(&database.reader).await?;
    let per_second = report.events as f64 / begun.elapsed().as_secs_f64();
    ensure!(report.found == 0, "the made-up log does not fold: {:?}", report.findings.first());
    ensure!(report.rows >= i64::try_from(sessions)?, "rows were not looked at: {report:?}");
    Ok(Scanned { report, per_second })
}

/// Sessions, and for each a log: all facts in the first row, a report's worth of them in each further one.
fn fill(backend: DbBackend, sessions: u64) -> [String; 2] {
    let postgres = backend == DbBackend::Postgres;
    let numbers = |name: &str, to: u64| {
        if postgres {
            format!("generate_series(1, {to}) AS {name}(n)")
        } else {
            format!(
                "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {to}) SELECT n FROM c) AS {name}"
            )
        }
    };
    let (s, r) = (numbers("s", sessions), numbers("r", EACH));
    let hex = if postgres { "lpad(to_hex(s.n), 12, '0')" } else { "printf('%012x', s.n)" };
    let text = format!("'0198f3c2-7a10-7b3e-9d51-' || {hex}");
    let key = if postgres { format!("({text})::uuid") } else { format!("unhex('0198f3c27a107b3e9d51' || {hex})") };
    let event = if postgres { "gen_random_uuid()" } else { "randomblob(16)" };
    let json = if postgres { "::jsonb" } else { "" };
    let first = format!(
        "'{{\"session_id\":\"' || {text} || '\",\"status\":\"running\",\"desired\":\"running\",\"generation\":1,\"attempt\":0,\
         \"starts\":0,\"failures\":[],\"debt\":false,\"tags\":[],\"metadata\":{{}},\"amended_seq\":0,\"seen_generation\":1,\
         \"seen_epoch\":1,\"message\":null,\"phase\":\"healthy\",\"url\":\"http://10.0.0.7:32801/\",\"extended_s\":0,\
         \"controller_id\":\"docker-1\",\"lane\":\"durable\",\"seen_seq\":1}}'"
    );
    let later = "'{\"status\":\"running\",\"phase\":\"healthy\",\"seen_seq\":' || r.n || ',\"url\":\"http://10.0.0.7:32801/\"}'";
    let payload =
        "'{\"session_id\":\"0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17\",\"status\":\"running\",\"platform\":\"docker\"}'";
    [
        format!(
            "INSERT INTO sessions (session_id, user_id, template_id, template, platform, controller_id, lane, status, desired, \
             generation, resources, persistent_home, tags, metadata, phase, url, seen_generation, seen_epoch, seen_seq, failures, \
             debt, entity_seq, created_ms, updated_ms, last_activity_ms, last_sign) \
             SELECT {key}, 'ada', 'firefox', '{{}}'{json}, 'docker', 'docker-1', 'durable', 'running', 'running', 1, '{{}}'{json}, \
             false, '[]'{json}, '{{}}'{json}, 'healthy', 'http://10.0.0.7:32801/', 1, 1, {EACH}, '[]'{json}, false, {EACH}, \
             1767254400000, 1767254400000, 1767254400000, 'started' FROM {s}"
        ),
        format!(
            "INSERT INTO event_log (event_id, subject, payload, status, entity, entity_seq, kind, direction, changes, created_ms) \
             SELECT {event}, 'streamspace.session.status.docker.docker-1', {payload}{json}, 'completed', 'session:' || {text}, r.n, \
             'report', 'in', (CASE WHEN r.n = 1 THEN {first} ELSE {later} END){json}, 1767254400000 FROM {r} CROSS JOIN {s}"
        ),
    ]
}
