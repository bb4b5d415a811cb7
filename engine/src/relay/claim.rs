//! Which commands go next: each controller's in the order of their turns, and no more than it can do soon.
//!
//! What is handed to JetStream is served in the order in which it came. So the rest waits here, where a newer command of
//! somebody else can still go before it. What ends something does not wait: it always goes. A controller whose ends pass its
//! slots (`Capacity::ends_pass`) sees it behind whatever was handed out before, and there only starts that it has not begun
//! count. Any other controller sees it when it has a slot free, so that some of its slots are never given to starts.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use machine::turn;
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
/// The most that a controller may have at a time, in number. A controller holds more than that, so that it sees an end behind
/// them.
const MOST: i64 = 4_096;
/// Of the slots of a controller whose ends do not pass them, the part that is kept free for ends.
const KEPT_FREE: i64 = 4;
/// What a controller may have at a time, as the time that it takes for it.
const AHEAD: Duration = Duration::from_secs(2);
/// Over how long a pace is measured at least.
const MEASURED: Duration = Duration::from_millis(250);

const PENDING: &str = "status = 'pending' AND ready";
/// The conditions of the partial index, literally.
const UNFINISHED: &str = crate::ends::UNFINISHED;
const COLUMNS: &str = "id, turn, event_id, entity, subject, payload, attempt, lane, traceparent";

/// A controller whose outbox is not empty.
#[derive(Debug, FromQueryResult)]
struct Waiting {
    controller_id: String,
    capacity: Value,
    /// Starts that it has not begun.
    published: i64,
    /// Starts that it has begun.
    begun: i64,
    /// 1 where something that ends something waits.
    ends: i64,
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

impl Waiting {
    /// Starts that count against the controller's window.
    const fn under_way(&self, ends_pass: bool) -> i64 {
        if ends_pass { self.published } else { self.published + self.begun }
    }
}

impl Windows {
    /// Starts that a controller may have at a time: what it does soon, and enough to keep its slots busy.
    fn of(&mut self, controller_id: &str, capacity: Capacity, ended: u64, now: Instant) -> i64 {
        let pace = self.paces.entry(controller_id.to_owned()).or_insert(Pace { since: now, ended, per_second: 0.0 });
        let took = now.duration_since(pace.since);
        if took >= MEASURED {
            let per_second = ended.saturating_sub(pace.ended) as f64 / took.as_secs_f64();
            *pace = Pace { since: now, ended, per_second };
        }
        let soon = (pace.per_second * AHEAD.as_secs_f64()) as i64;
        match i64::from(capacity.slots) {
            0 => soon.clamp(LEAST, MOST),
            slots if capacity.ends_pass => soon.clamp(LEAST, MOST).max(2 * slots),
            slots => (slots - (slots / KEPT_FREE).max(1)).clamp(1, MOST),
        }
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
    let now_ms = parts.clock.now_ms(db).await?;
    let urgent = turn::urgent_below(now_ms);
    let waiting = Waiting::find_by_statement(waiting(parts.database.backend, urgent)).all(db).await?;
    let free_ms = windows.free_ms(parts.database.backend, now_ms);
    windows.held_elsewhere = false;
    let (mut rows, mut full, mut more) = (Vec::new(), false, false);
    for waiting in waiting {
        let controller_id = &waiting.controller_id;
        let capacity = Capacity::deserialize(&waiting.capacity).unwrap_or_default();
        let window = windows.of(controller_id, capacity, parts.metrics.processed_by(controller_id), Instant::now());
        let unwritten = parts.flight.unwritten(controller_id);
        let room = window - waiting.under_way(capacity.ends_pass) - unwritten;
        let wanted = room.clamp(0, most);
        let mut next = Vec::new();
        if waiting.ends > 0 {
            let ends = Turns { from: i64::MIN, until: urgent };
            next = of_controller(parts, controller_id, ends, most, free_ms).await?;
            more |= next.len() as i64 == most;
        }
        let mut starts = Vec::new();
        if wanted > 0 {
            let turns = Turns { from: urgent, until: i64::MAX };
            starts = of_controller(parts, controller_id, turns, wanted, free_ms).await?;
        }
        let left = starts.len() as i64 == wanted;
        windows.held_elsewhere |= starts.is_empty() && next.is_empty() && wanted > 0 && unwritten == 0;
        (full, more) = (full || wanted == 0, more || wanted > 0 && left);
        parts.flight.open(controller_id, if left { 0 } else { room - starts.len() as i64 });
        rows.extend(next);
        rows.extend(starts);
    }
    held_back.store(full || more, Ordering::SeqCst);
    rows.sort_unstable_by_key(|row| (row.turn, row.id));
    Ok(Claimed { rows: rows.into_iter().map(|row| row.command).collect(), more })
}

/// The controllers whose outbox is not empty. One row of each is looked at: of `EXISTS` PostgreSQL makes a join with all of them.
fn waiting(backend: DbBackend, urgent: i64) -> Statement {
    let starts = |status: &str| {
        format!(
            "(SELECT count(*) FROM event_log WHERE controller_id = c.controller_id AND {UNFINISHED} \
             AND status = '{status}' AND turn >= $1)"
        )
    };
    let (published, begun) = (starts("published"), starts("processing"));
    let sql = format!(
        "SELECT c.controller_id, c.capacity, {published} AS published, {begun} AS begun, \
         CAST(coalesce((SELECT 1 FROM event_log WHERE controller_id = c.controller_id AND {PENDING} AND turn < $1 LIMIT 1), 0) \
         AS bigint) AS ends FROM platform_controllers c \
         WHERE (SELECT 1 FROM event_log WHERE controller_id = c.controller_id AND {PENDING} LIMIT 1) IS NOT NULL"
    );
    Statement::from_sql_and_values(backend, sql, [urgent.into()])
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

/// A part of an outbox, from one turn until before another one.
#[derive(Debug, Clone, Copy)]
struct Turns {
    from: i64,
    until: i64,
}

/// The next commands of a controller that nobody holds longer than `free_ms`. One process owns a SQLite file, and this is its only
/// relay, which marks what it takes before it looks again: there nothing is claimed.
async fn of_controller(
    parts: &Parts,
    controller_id: &str,
    turns: Turns,
    room: i64,
    free_ms: i64,
) -> Result<Vec<Placed>, DbErr> {
    let backend = parts.database.backend;
    let free = format!(
        "controller_id = $1 AND {PENDING} AND (claimed_until_ms IS NULL OR claimed_until_ms < $2) \
         AND turn >= $3 AND turn < $4"
    );
    let values = [controller_id.into(), free_ms.into(), turns.from.into(), turns.until.into(), room.into()];
    if backend != DbBackend::Postgres {
        let sql = format!(
            "SELECT {COLUMNS} FROM event_log INDEXED BY idx_event_log_outbox WHERE {free} ORDER BY turn, id LIMIT $5"
        );
        let select = Statement::from_sql_and_values(backend, sql, values);
        return Placed::find_by_statement(select).all(&parts.database.reader).await;
    }
    let sql = format!(
        "UPDATE event_log SET claimed_until_ms = $6 WHERE id IN (SELECT id FROM event_log WHERE {free} \
         ORDER BY turn, id LIMIT $5 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"
    );
    let values = values.into_iter().chain([(free_ms + CLAIM_MS).into()]);
    let claimed = Placed::find_by_statement(Statement::from_sql_and_values(backend, sql, values));
    parts.database.checked(claimed.all(&parts.database.writer).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn capacity(slots: u32, ends_pass: bool) -> Capacity {
        let (sessions_max, sessions, memory_bytes, memory_free_bytes, cpu_millis) = (0, 0, 0, 0, 0);
        Capacity { sessions_max, sessions, memory_bytes, memory_free_bytes, cpu_millis, slots, ends_pass }
    }

    #[test]
    fn a_controller_gets_what_it_does_in_two_seconds() {
        let (mut windows, begun) = (Windows::default(), Instant::now());
        let mut of =
            |slots, ended, ms| windows.of("a", capacity(slots, true), ended, begun + Duration::from_millis(ms));
        assert_eq!(of(0, 1_000, 0), LEAST, "nothing is known yet");
        assert_eq!(of(100, 1_000, 0), 200, "but that it does so many at a time");
        assert_eq!(of(0, 1_500, 500), 2_000, "a thousand a second");
        assert_eq!(of(0, 1_600, 600), 2_000, "too early to measure again");
        assert_eq!(of(0, 90_000, 1_000), MOST);
        assert_eq!(of(0, 90_000, 9_000), LEAST, "it has stopped");
    }

    #[test]
    fn a_controller_whose_ends_need_slots_keeps_some_of_them_free() {
        let (mut windows, begun) = (Windows::default(), Instant::now());
        let mut of =
            |slots, ended, ms| windows.of("a", capacity(slots, false), ended, begun + Duration::from_millis(ms));
        assert_eq!([of(16, 0, 0), of(2, 0, 0), of(1, 0, 0)], [12, 1, 1]);
        assert_eq!(of(0, 0, 0), LEAST, "how many it has is not known");
        assert_eq!(of(16, 50_000, 1_000), 12, "however fast it is: what comes next may be slow");
    }

    #[test]
    fn what_was_begun_counts_only_where_it_holds_a_slot() {
        let waiting = Waiting { controller_id: "a".into(), capacity: Value::Null, published: 3, begun: 2_000, ends: 0 };
        assert_eq!((waiting.under_way(true), waiting.under_way(false)), (3, 2_003));
    }
}
