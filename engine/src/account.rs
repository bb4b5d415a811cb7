//! Whether every command can be accounted for: it has ended, or is the open command of a session, an application or a
//! debt that shows what it waits for. The rest is counted in `streamspace_events_unaccounted`, and anything but 0 is a defect.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, IdenStatic, Statement};
use streams::tasks::Task;

use crate::entities::commanded::{Commanded, each};
use crate::parts::Parts;

/// How often it is counted.
const EVERY: Duration = Duration::from_secs(15);

pub(crate) async fn run(parts: Parts, task: Task) {
    loop {
        let passed_over = parts.stuck.all().iter().filter(|item| item.until_ms > 0).count();
        parts.metrics.repeats(parts.link.reconnects.count(), passed_over);
        if let Err(error) = task.round(count(&parts)).await {
            tracing::warn!(%error, "commands cannot be counted now");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = task.cancel().cancelled() => return,
        }
    }
}

async fn count(parts: &Parts) -> Result<(), DbErr> {
    parts.metrics.unaccounted(unaccounted(&parts.database.reader).await?);
    let waiting = waiting(&parts.database.reader).await?;
    parts.writer.backlog().set(waiting);
    parts.metrics.waiting(waiting);
    Ok(())
}

/// Commands that are accepted and not yet handed to NATS.
pub(crate) async fn waiting(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let sql = "SELECT count(*) AS n FROM event_log WHERE status = 'pending'";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    row.map_or(Ok(0), |row| row.try_get("", "n"))
}

/// Commands that are open in the log and that no session, application or debt owns up to.
///
/// # Errors
/// What the database says.
pub async fn unaccounted(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    Ok(each!(E => unowned::<E>(db).await?).into_iter().sum())
}

/// Open commands of the entities of one table whose rows do not own up to them.
async fn unowned<E: Commanded>(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let (table, key, noun) = (E::default().table_name(), E::KEY.as_str(), E::NAME);
    let (backend, begin) = (db.get_database_backend(), noun.len() + 2);
    let id = if backend == DbBackend::Postgres {
        format!("substring(e.entity from {begin})::uuid")
    } else {
        format!("unhex(replace(substr(e.entity, {begin}), '-', ''))")
    };
    let sql = format!(
        "SELECT count(*) AS n FROM event_log e WHERE e.kind = 'command' \
         AND e.status IN ('pending', 'published', 'processing') AND e.entity LIKE '{noun}:%' AND NOT EXISTS (\
         SELECT 1 FROM {table} t WHERE t.{key} = {id} AND t.command_id = e.event_id \
         AND (t.deadline_ms IS NOT NULL OR t.next_attempt_ms IS NOT NULL OR t.reason IS NOT NULL))"
    );
    let row = db.query_one_raw(Statement::from_string(backend, sql)).await?;
    row.map_or(Ok(0), |row| row.try_get("", "n"))
}
