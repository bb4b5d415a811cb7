//! What happens when time passes: due sessions, applications and debts are found by one index each, and the machine is told.
//!
//! The cost is that of what is due, never of what exists. Before a deadline counts, the stream is asked whether it still
//! has the command: while it does, JetStream owns the delivery.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use sea_orm::{
    ColumnTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select, Statement,
};
use streams::crash::{Moment, point};
use streams::tasks::Task;
use streams::topology::SS_COMMANDS;
use uuid::Uuid;

use crate::entities::commanded::{Commanded, Nudge, each};
use crate::parts::Parts;
use crate::store::{event, session};
use crate::writer::NudgeCommand;

/// Rows that are looked at together.
const BATCH: u64 = 500;
/// The longest sleep, so that a moved clock is noticed.
const MAX_SLEEP: Duration = Duration::from_secs(5);
/// The pause after a round that failed, or whose timers could not be settled.
const PAUSE: Duration = Duration::from_millis(500);

/// A session, an application or a debt whose time has come.
struct Due {
    id: Uuid,
    deadline: bool,
    command_id: Option<Uuid>,
}

pub(crate) async fn run(parts: Parts, task: Task) {
    let asleep_until_ms = &parts.wakes.asleep_until_ms;
    loop {
        asleep_until_ms.store(i64::MAX, Ordering::SeqCst); // whatever is committed from here on is not missed
        let pause = match task.round(look(&parts)).await {
            Ok((now_ms, pause)) => {
                asleep_until_ms.store(now_ms + pause.as_millis() as i64, Ordering::SeqCst);
                pause
            }
            Err(error) => {
                tracing::warn!(%error, "due timers cannot be read");
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = parts.wakes.timers.notified() => {}
            () = task.cancel().cancelled() => return,
        }
    }
}

/// Fires what is due; answers when it looked, and how long there is nothing to do from then on.
async fn look(parts: &Parts) -> Result<(i64, Duration), DbErr> {
    let now_ms = parts.clock.now_ms(&parts.database.reader).await?;
    let rounds = join_all(each!(E => round::<E>(parts, now_ms).boxed())).await;
    let pauses = rounds.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok((now_ms, pauses.into_iter().min().unwrap_or(MAX_SLEEP)))
}

async fn round<E: Commanded>(parts: &Parts, now_ms: i64) -> Result<Duration, DbErr> {
    let next = parts.stuck.without(next::<E>(), now_ms);
    let next: Option<i64> = next.into_tuple().one(&parts.database.reader).await?;
    let wait_ms = next.map_or(i64::MAX, |at| at - now_ms);
    if wait_ms > 0 {
        return Ok(MAX_SLEEP.min(Duration::from_millis(wait_ms.unsigned_abs())));
    }
    let due = due::<E>(parts, now_ms).await?;
    point("timer.fire", Moment::Before);
    let results = join_all(due.into_iter().map(|due| fire::<E>(parts, due, now_ms))).await;
    point("timer.fire", Moment::After);
    let stuck = results.iter().all(|fired| !fired);
    Ok(if stuck { PAUSE } else { Duration::ZERO })
}

/// When the next is due.
fn next<E: Commanded>() -> Select<E> {
    let wakes = E::find().select_only().column(E::WAKE_MS).filter(E::WAKE_MS.is_not_null());
    wakes.order_by_asc(E::WAKE_MS).limit(1)
}

/// Those that are due.
fn whose<E: Commanded>(now_ms: i64) -> Select<E> {
    let columns = [E::KEY, E::DEADLINE_MS, E::COMMAND_ID];
    let due = E::find().select_only().columns(columns).filter(E::WAKE_MS.lte(now_ms));
    due.order_by_asc(E::WAKE_MS).limit(BATCH)
}

/// What a round asks about sessions, for whoever wants to see what that costs.
#[must_use]
pub fn questions(backend: DbBackend, now_ms: i64) -> [Statement; 2] {
    [next::<session::Entity>().build(backend), whose::<session::Entity>(now_ms).build(backend)]
}

async fn due<E: Commanded>(parts: &Parts, now_ms: i64) -> Result<Vec<Due>, DbErr> {
    let rows: Vec<(Uuid, Option<i64>, Option<Uuid>)> =
        parts.stuck.without(whose::<E>(now_ms), now_ms).into_tuple().all(&parts.database.reader).await?;
    let due = |(id, deadline_ms, command_id): (Uuid, Option<i64>, Option<Uuid>)| Due {
        id,
        deadline: deadline_ms.is_some_and(|at| at <= now_ms),
        command_id,
    };
    Ok(rows.into_iter().map(due).collect())
}

/// Tells the machine; says whether it is dealt with: written, or passed over because it can never be.
async fn fire<E: Commanded>(parts: &Parts, due: Due, now_ms: i64) -> bool {
    let nudge = match (due.deadline, due.command_id) {
        (true, Some(command)) => match held(parts, command).await {
            Some(held) => Nudge::Deadline { held },
            None => return false, // the courier cannot be asked now: silence says nothing
        },
        _ => Nudge::Tick,
    };
    point("timer.fire", Moment::During);
    let written = parts.writer.enqueue(NudgeCommand::<E>::new(due.id, nudge), None).await;
    parts.stuck.settled(|| E::entity(due.id), written, now_ms)
}

/// Whether a command is still on its way: in the outbox, or in the stream. `None` where that cannot be known now.
async fn held(parts: &Parts, command: Uuid) -> Option<bool> {
    let row = event::Entity::find()
        .filter(event::Column::EventId.eq(command))
        .filter(event::Column::Direction.eq(event::Kind::Command.direction()))
        .one(&parts.database.reader)
        .await
        .ok()??;
    if row.status.as_deref() == Some("pending") {
        return Some(true);
    }
    match (row.lane.as_deref(), row.stream_seq) {
        (Some("durable"), Some(seq)) => {
            let seq = u64::try_from(seq).ok()?;
            streams::topology::holds(&parts.link.jetstream, SS_COMMANDS, seq).await.ok()
        }
        _ => Some(false),
    }
}
