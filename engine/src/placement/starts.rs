//! Which sessions that wait go next, where controllers have room: in the order of their turns, as the outbox has it, those that wait
//! for any controller and those that wait for their own alike.
//!
//! What was read here only says whom to ask for: the writer counts again, and gives each in this order its place or none. So one
//! that does not fit is passed over, and holds up nobody.

use std::collections::HashMap;

use futures::future::join_all;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value};
use streams::crash::{Moment, point};
use uuid::Uuid;

use super::{BATCH, selectors};
use crate::entities::commanded::Nudge;
use crate::parts::Parts;
use crate::store::{controller, session};
use crate::writer::{NudgeCommand, room};

/// More are asked for than there is room for, because some will not fit: twice as many and so many.
const SPARE: u64 = 16;
/// Those that are asked for where one of them is to be the probe of a breaker.
const PROBES: u64 = 64;

const FROM: &str =
    "JOIN event_log e ON e.event_id = c.command_id AND e.direction = 'out' WHERE c.command_id IS NOT NULL";
const ORDER: &str = "ORDER BY e.turn, e.id";
/// A start that holds no place yet.
const START: &str = "c.desired = 'running' AND c.has_room IS NOT TRUE";

/// One that waits, in its place in the order.
#[derive(Debug, FromQueryResult)]
struct Waiting {
    id: Uuid,
    turn: i64,
    seq: i64,
}

/// What a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Controllers changed, or some time has passed: all that waits is tried, and what still waits says for what.
    Anything,
    /// There is room again: as many are tried as may find some.
    Room,
}

/// Serves those that wait until no more can go; says whether any still waits for room.
pub(super) async fn serve(parts: &Parts, controllers: &[controller::Model], why: Why) -> Result<bool, DbErr> {
    let ready: Vec<&controller::Model> = controllers.iter().filter(|row| row.ready()).collect();
    loop {
        let free = free(parts, &ready).await?;
        let asked = next(parts, &ready, &free, why).await?;
        if asked.is_empty() {
            return awaited(parts).await;
        }
        point("placement.decide", Moment::Before);
        let nudges = asked.into_iter().map(|(id, nudge)| NudgeCommand::<session::Entity>::new(id, nudge));
        let served = join_all(nudges.map(|nudge| parts.writer.enqueue(nudge, None))).await;
        let progress = served.iter().any(|served| served.as_ref().is_ok_and(|progress| progress.is_under_way));
        point("placement.decide", Moment::After);
        if !progress {
            return awaited(parts).await;
        }
    }
}

/// Places that are free on each of these, or as many as are looked at together where that is not bounded.
async fn free(parts: &Parts, ready: &[&controller::Model]) -> Result<HashMap<String, u64>, DbErr> {
    let ids: Vec<String> = ready.iter().map(|row| row.controller_id.clone()).collect();
    let held = room::held(&parts.database.reader, &ids).await?;
    let left = |row: &&controller::Model| {
        let held = held.get(&row.controller_id).copied().unwrap_or(0).saturating_add(row.foreign());
        let free = row.limit().map_or(BATCH, |max| u64::from(max.saturating_sub(held)).min(BATCH));
        (row.controller_id.clone(), free)
    };
    Ok(ready.iter().map(left).collect())
}

/// Those that are to be asked for, in their order.
async fn next(
    parts: &Parts,
    ready: &[&controller::Model],
    free: &HashMap<String, u64>,
    why: Why,
) -> Result<Vec<(Uuid, Nudge)>, DbErr> {
    let wanted = |free: u64| match why {
        Why::Anything => BATCH,
        Why::Room if free == 0 => 0,
        Why::Room => (2 * free + SPARE).min(BATCH),
    };
    let of = |row: &controller::Model| free.get(&row.controller_id).copied().unwrap_or(0);
    let mut found = Vec::new();
    let mut platforms: HashMap<&str, u64> = HashMap::new();
    for row in ready {
        *platforms.entry(&row.platform).or_default() += of(row);
        let wanted = if row.breaker().probes() { PROBES } else { wanted(of(row)) };
        let start = own(parts, row, START, wanted).await?;
        let other = own(parts, row, &format!("NOT ({START})"), BATCH).await?;
        found.extend(start.into_iter().chain(other).map(|waiting| (waiting, Nudge::OwnerReady)));
    }
    for (platform, free) in platforms {
        if wanted(free) == 0 {
            continue;
        }
        for selector in selectors(parts, platform).await? {
            let unplaced = unplaced(parts, platform, selector, wanted(free)).await?;
            found.extend(unplaced.into_iter().map(|waiting| (waiting, Nudge::Place)));
        }
    }
    found.sort_by_key(|(waiting, _)| (waiting.turn, waiting.seq));
    Ok(found.into_iter().map(|(waiting, word)| (waiting.id, word)).collect())
}

/// SQLite has to be told of the index.
fn table(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Sqlite { "sessions c INDEXED BY idx_sessions_open" } else { "sessions c" }
}

/// Those without an owner.
async fn unplaced(
    parts: &Parts,
    platform: &str,
    selector: serde_json::Value,
    wanted: u64,
) -> Result<Vec<Waiting>, DbErr> {
    let which = "c.controller_id IS NULL AND c.status NOT IN ('deleted', 'deleting', 'failed') AND c.platform = $1 \
                 AND c.selector = $2";
    select(parts, which, vec![platform.into(), selector.into()], wanted).await
}

/// Those whose open command waits for their owner.
async fn own(parts: &Parts, row: &controller::Model, which: &str, wanted: u64) -> Result<Vec<Waiting>, DbErr> {
    let which = format!("c.controller_id = $1 AND c.deadline_ms IS NULL AND c.next_attempt_ms IS NULL AND ({which})");
    select(parts, &which, vec![row.controller_id.clone().into()], wanted).await
}

async fn select(parts: &Parts, which: &str, values: Vec<Value>, wanted: u64) -> Result<Vec<Waiting>, DbErr> {
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let backend = parts.database.backend;
    let table = table(backend);
    let sql = format!(
        "SELECT c.session_id AS id, e.turn AS turn, e.id AS seq FROM {table} {FROM} AND {which} {ORDER} LIMIT {wanted}"
    );
    Waiting::find_by_statement(Statement::from_sql_and_values(backend, sql, values)).all(&parts.database.reader).await
}

/// Whether anything still waits for room.
async fn awaited(parts: &Parts) -> Result<bool, DbErr> {
    let backend = parts.database.backend;
    let table = table(backend);
    let sql = format!(
        "SELECT 1 AS n FROM {table} WHERE c.command_id IS NOT NULL AND c.deadline_ms IS NULL \
         AND c.next_attempt_ms IS NULL AND {START} LIMIT 1"
    );
    Ok(parts.database.reader.query_one_raw(Statement::from_string(backend, sql)).await?.is_some())
}
