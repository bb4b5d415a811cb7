//! Which commands go next: each controller's in the order of their turns, and no more than it can do soon.
//!
//! What is handed to JetStream is served in the order in which it came. So the rest waits here, where a newer command of
//! somebody else, or a delete, can still go before it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement};
use serde::Deserialize;
use serde_json::Value;
use streams::wire::Capacity;
use uuid::Uuid;

use super::{HANDED_MS, Pending};
use crate::parts::Parts;
use crate::store::event;

/// How long a claim keeps other engines away, in milliseconds.
const CLAIM_MS: i64 = 15_000;
/// Commands that a controller may have at a time before anything is known of its pace, in number.
const LEAST: i64 = 64;
/// The most that a controller may have at a time, in number.
const MOST: i64 = 4_096;
/// What a controller may have at a time, as the time that it takes for it.
const AHEAD: Duration = Duration::from_secs(2);
/// Over how long a pace is measured at least.
const MEASURED: Duration = Duration::from_millis(250);

const PENDING: &str = "status = 'pending' AND ready";
const COLUMNS: &str = "id, turn, event_id, entity, subject, payload, attempt, lane, traceparent";

/// A controller whose outbox is not empty.
#[derive(Debug, FromQueryResult)]
struct Waiting {
    controller_id: String,
    capacity: Value,
    under_way: i64,
}

/// A command in its place in the outbox.
#[derive(Debug, FromQueryResult)]
struct Placed {
    id: i64,
    turn: i64,
    #[sea_orm(nested)]
    command: Pending,
}

/// How fast a controller ends commands, as this engine sees it.
#[derive(Debug)]
struct Pace {
    since: Instant,
    ended: u64,
    per_second: f64,
}

/// What was learnt of each controller's pace.
#[derive(Debug, Default)]
pub(super) struct Windows {
    paces: HashMap<String, Pace>,
    /// The outbox was looked at.
    looked: bool,
    /// Something in it was held by another engine.
    held_elsewhere: bool,
}

impl Windows {
    /// Commands that a controller may have at a time: what it does soon, and enough to keep all its slots busy.
    fn of(&mut self, controller_id: &str, slots: u32, ended: u64, now: Instant) -> i64 {
        let pace = self.paces.entry(controller_id.to_owned()).or_insert(Pace { since: now, ended, per_second: 0.0 });
        let took = now.duration_since(pace.since);
        if took >= MEASURED {
            let per_second = ended.saturating_sub(pace.ended) as f64 / took.as_secs_f64();
            *pace = Pace { since: now, ended, per_second };
        }
        let soon = (pace.per_second * AHEAD.as_secs_f64()) as i64;
        soon.clamp(LEAST, MOST).max(2 * i64::from(slots))
    }
}

impl Windows {
    /// Whether the last look found what another engine holds, or one that is gone.
    pub(super) const fn held_elsewhere(&self) -> bool {
        self.held_elsewhere
    }

    /// Claims that end before this time hold nobody away. Those that a process before this one left in a SQLite file do not,
    /// however long they were meant for.
    fn free_ms(&mut self, backend: DbBackend, now_ms: i64) -> i64 {
        let first = !std::mem::replace(&mut self.looked, true);
        if first && backend == DbBackend::Sqlite { now_ms + HANDED_MS } else { now_ms }
    }
}

/// What goes next.
pub(super) struct Claimed {
    /// In order.
    pub(super) rows: Vec<Pending>,
    /// Some controller may have more that could go at once. What comes later wakes the relay.
    pub(super) more: bool,
}

/// The commands that go next; `most` of each controller.
pub(super) async fn claim(parts: &Parts, windows: &mut Windows, most: i64) -> Result<Claimed, DbErr> {
    let held_back = &parts.wakes.held_back;
    held_back.store(true, Ordering::SeqCst); // so that an end that is committed from here on is not missed
    let db = &parts.database.reader;
    let waiting = Waiting::find_by_statement(waiting(parts.database.backend)).all(db).await?;
    let now_ms = parts.clock.now_ms(db).await?;
    let free_ms = windows.free_ms(parts.database.backend, now_ms);
    windows.held_elsewhere = false;
    let (mut rows, mut full, mut more) = (Vec::new(), false, false);
    for Waiting { controller_id, capacity, under_way } in waiting {
        let slots = Capacity::deserialize(capacity).map_or(0, |capacity| capacity.slots);
        let window = windows.of(&controller_id, slots, parts.metrics.processed_by(&controller_id), Instant::now());
        let unwritten = parts.flight.unwritten(&controller_id);
        let room = window - under_way - unwritten;
        let wanted = room.clamp(0, most);
        let next = if wanted > 0 { of_controller(parts, &controller_id, wanted, free_ms).await? } else { Vec::new() };
        let left = next.len() as i64 == wanted;
        windows.held_elsewhere |= next.is_empty() && wanted > 0 && unwritten == 0;
        (full, more) = (full || wanted == 0, more || wanted > 0 && left);
        parts.flight.open(&controller_id, if left { 0 } else { room - next.len() as i64 });
        rows.extend(next);
    }
    held_back.store(full || more, Ordering::SeqCst);
    rows.sort_unstable_by_key(|row| (row.turn, row.id));
    Ok(Claimed { rows: rows.into_iter().map(|row| row.command).collect(), more })
}

/// The controllers whose outbox is not empty. One row of each is looked at: of `EXISTS` PostgreSQL makes a join with all of them.
fn waiting(backend: DbBackend) -> Statement {
    let sql = format!(
        "SELECT c.controller_id, c.capacity, (SELECT count(*) FROM event_log WHERE controller_id = c.controller_id \
         AND kind = 'command' AND status IN ('published', 'processing')) AS under_way FROM platform_controllers c \
         WHERE (SELECT 1 FROM event_log WHERE controller_id = c.controller_id AND {PENDING} LIMIT 1) IS NOT NULL"
    );
    Statement::from_string(backend, sql)
}

/// Lets go of commands that were not published, so that they go first, in their order, once they are taken. What fails here
/// passes with the claim.
pub(super) async fn release(parts: &Parts, events: Vec<Uuid>) {
    let release = event::Entity::update_many()
        .col_expr(event::Column::ClaimedUntilMs, Expr::value(None::<i64>))
        .filter(event::Column::EventId.is_in(events))
        .filter(event::Column::Direction.eq(event::Kind::Command.direction()))
        .exec(&parts.database.writer);
    if let Err(error) = parts.database.checked(release.await) {
        tracing::debug!(%error, "claims stay until they pass");
    }
}

/// The next commands of a controller that nobody holds longer than `free_ms`. One process owns a SQLite file, and this is its only
/// relay, which marks what it takes before it looks again: there nothing is claimed.
async fn of_controller(parts: &Parts, controller_id: &str, room: i64, free_ms: i64) -> Result<Vec<Placed>, DbErr> {
    let backend = parts.database.backend;
    let free = format!("controller_id = $1 AND {PENDING} AND (claimed_until_ms IS NULL OR claimed_until_ms < $2)");
    if backend != DbBackend::Postgres {
        let sql = format!(
            "SELECT {COLUMNS} FROM event_log INDEXED BY idx_event_log_outbox WHERE {free} ORDER BY turn, id LIMIT $3"
        );
        let values = [controller_id.into(), free_ms.into(), room.into()];
        let select = Statement::from_sql_and_values(backend, sql, values);
        return Placed::find_by_statement(select).all(&parts.database.reader).await;
    }
    let sql = format!(
        "UPDATE event_log SET claimed_until_ms = $4 WHERE id IN (SELECT id FROM event_log WHERE {free} \
         ORDER BY turn, id LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"
    );
    let values = [controller_id.into(), free_ms.into(), room.into(), (free_ms + CLAIM_MS).into()];
    let claimed = Placed::find_by_statement(Statement::from_sql_and_values(backend, sql, values));
    parts.database.checked(claimed.all(&parts.database.writer).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_gets_what_it_does_in_two_seconds() {
        let (mut windows, begun) = (Windows::default(), Instant::now());
        let mut of = |slots, ended, ms| windows.of("a", slots, ended, begun + Duration::from_millis(ms));
        assert_eq!(of(0, 1_000, 0), LEAST, "nothing is known yet");
        assert_eq!(of(100, 1_000, 0), 200, "but that it does so many at a time");
        assert_eq!(of(0, 1_500, 500), 2_000, "a thousand a second");
        assert_eq!(of(0, 1_600, 600), 2_000, "too early to measure again");
        assert_eq!(of(0, 90_000, 1_000), MOST);
        assert_eq!(of(0, 90_000, 9_000), LEAST, "it has stopped");
    }
}
