//! What happens to sessions and applications that wait: when a controller takes work (again), they are tried once more.

use std::time::Duration;

use futures::future::join_all;
use machine::placement::{Place, choose};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use streams::crash::{Moment, point};
use streams::tasks::Task;
use uuid::Uuid;

use crate::parts::Parts;
use crate::queries;
use crate::store::commanded::{Commanded, Word, has_owner, is_under_way};
use crate::store::{application, controller, session};
use crate::writer::{Ask, Work};

/// Rows that are tried together.
const BATCH: u64 = 500;
/// The slow scan behind the wake-ups: room that became free is noticed by then.
const POLL: Duration = Duration::from_secs(10);

pub(crate) async fn run(parts: Parts, task: Task) {
    loop {
        if let Err(error) = task.round(look(&parts)).await {
            tracing::warn!(%error, "what waits cannot be read");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = parts.wakes.placement.notified() => {}
            () = task.cancel().cancelled() => return,
        }
    }
}

/// What was read of the controllers only says where to look: each piece of work is decided on their rows as they are by then.
async fn look(parts: &Parts) -> Result<(), DbErr> {
    let controllers = &controller::Entity::find().all(&parts.database.reader).await?;
    // a debt waits for nobody
    let (sessions, applications) =
        tokio::join!(round::<session::Entity>(parts, controllers), round::<application::Entity>(parts, controllers));
    let revoked = leave_revoked(parts, controllers).await;
    sessions.and(applications).and(revoked)
}

async fn round<E: Commanded>(parts: &Parts, controllers: &[controller::Model]) -> Result<(), DbErr> {
    let mut platforms: Vec<&str> = controllers.iter().map(|row| row.platform.as_str()).collect();
    platforms.sort_unstable();
    platforms.dedup();
    let candidates: Vec<_> = controllers.iter().map(|row| row.candidate(E::DOMAIN, 0)).collect();
    for platform in platforms {
        if matches!(choose(platform, &candidates), Place::Chosen { .. }) {
            for selector in selectors::<E>(parts, platform).await? {
                place_waiting::<E>(parts, platform, selector).await?;
            }
        }
    }
    for row in controllers.iter().filter(|row| row.ready()) {
        let most = if row.breaker().probes() { 1 } else { BATCH };
        release_waiting::<E>(parts, &row.controller_id, most).await?;
    }
    Ok(())
}

/// What a revocation's job did not see, because it was given to the controller while that was being revoked.
async fn leave_revoked(parts: &Parts, controllers: &[controller::Model]) -> Result<(), DbErr> {
    let db = &parts.database.reader;
    for row in controllers.iter().filter(|row| row.revoked) {
        let job = match row.revoked_job {
            Some(job) => queries::job(db, job).await?,
            None => None,
        };
        if job.is_some_and(|job| job.is_running()) {
            continue;
        }
        let left: Vec<Uuid> = session::Entity::find()
            .select_only()
            .column(session::Column::SessionId)
            .filter(session::Column::ControllerId.eq(&row.controller_id))
            .filter(session::Column::Status.is_in(queries::sessions::living()))
            .limit(BATCH)
            .into_tuple()
            .all(db)
            .await?;
        join_all(left.into_iter().map(|id| parts.writer.enqueue(Work::Ask(id, Ask::Move), None))).await;
    }
    Ok(())
}

/// What those that wait on a platform ask of their controller: each selector has a row of its own, so that what asks for the
/// impossible keeps nobody else waiting.
async fn selectors<E: Commanded>(parts: &Parts, platform: &str) -> Result<Vec<Condition>, DbErr> {
    let Some(column) = E::SELECTOR else { return Ok(vec![Condition::all()]) };
    let waiting = E::find().select_only().column(column).filter(Expr::cust(E::UNPLACED));
    let asked: Vec<Value> =
        waiting.filter(E::PLATFORM.eq(platform)).distinct().into_tuple().all(&parts.database.reader).await?;
    Ok(asked.into_iter().map(|selector| Condition::all().add(column.eq(selector))).collect())
}

/// Those without an owner, oldest first, until no more find one.
async fn place_waiting<E: Commanded>(parts: &Parts, platform: &str, selector: Condition) -> Result<(), DbErr> {
    loop {
        let waiting: Vec<Uuid> = E::find()
            .select_only()
            .column(E::ID)
            .filter(Expr::cust(E::UNPLACED))
            .filter(E::PLATFORM.eq(platform))
            .filter(selector.clone())
            .order_by_asc(E::CREATED_MS)
            .limit(BATCH)
            .into_tuple()
            .all(&parts.database.reader)
            .await?;
        point("placement.decide", Moment::Before);
        let placed = join_all(waiting.into_iter().map(|id| parts.writer.enqueue(E::work(id, Word::Place), None))).await;
        point("placement.decide", Moment::After);
        let progress = placed.iter().any(|done| done.as_ref().is_ok_and(has_owner));
        if !progress {
            return Ok(());
        }
    }
}

/// Those whose owner takes work again, and whose open command waits for just that: `most` at a time, a single one where it is to
/// be the probe.
async fn release_waiting<E: Commanded>(parts: &Parts, controller_id: &str, most: u64) -> Result<(), DbErr> {
    loop {
        let waiting: Vec<Uuid> = E::find()
            .select_only()
            .column(E::ID)
            .filter(E::CONTROLLER_ID.eq(controller_id))
            .filter(E::COMMAND_ID.is_not_null())
            .filter(E::DEADLINE_MS.is_null())
            .filter(E::NEXT_ATTEMPT_MS.is_null())
            .order_by_asc(E::CREATED_MS)
            .limit(most)
            .into_tuple()
            .all(&parts.database.reader)
            .await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let released =
            join_all(waiting.into_iter().map(|id| parts.writer.enqueue(E::work(id, Word::OwnerReady), None)));
        let progress = released.await.iter().any(|done| done.as_ref().is_ok_and(is_under_way));
        if !progress || most == 1 {
            return Ok(());
        }
    }
}
