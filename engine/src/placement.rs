//! What happens to sessions and applications that wait: when a controller takes work, or has room (again), they are tried once more.

mod starts;

use std::time::Duration;

use futures::future::join_all;
use machine::placement::{Place, choose};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use streams::crash::{Moment, point};
use streams::tasks::Task;
use uuid::Uuid;

use crate::entities::commanded::{Commanded, Nudge};
use crate::parts::Parts;
use crate::queries;
use crate::store::{application, controller, session};
use crate::writer::{Ask, AskSession, NudgeCommand};
use starts::Why;

/// Rows that are tried together.
const BATCH: u64 = 500;
/// The slow scan behind the wake-ups: what another engine did not tell of is noticed by then.
const POLL: Duration = Duration::from_secs(10);

pub(crate) async fn run(parts: Parts, task: Task) {
    let mut why = Why::Anything;
    loop {
        if let Err(error) = task.round(look(&parts, why)).await {
            tracing::warn!(%error, "what waits cannot be read");
        }
        why = tokio::select! {
            biased;
            () = task.cancel().cancelled() => return,
            () = parts.wakes.placement.notified() => Why::Anything,
            () = parts.wakes.room.notified() => Why::Room,
            () = tokio::time::sleep(POLL) => Why::Anything,
        };
    }
}

/// What was read of the controllers only says where to look: each piece of work is decided on their rows as they are by then.
async fn look(parts: &Parts, why: Why) -> Result<(), DbErr> {
    let controllers = &controller::Entity::find().all(&parts.database.reader).await?;
    let began = parts.wakes.awaited();
    let sessions = starts::serve(parts, controllers, why).await;
    let sessions = sessions.map(|waiting| parts.wakes.room_was_looked_for(began, waiting));
    if why == Why::Room {
        return sessions; // only sessions take room
    }
    // a debt waits for nobody
    let applications = round::<application::Entity>(parts, controllers).await;
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
            place_waiting::<E>(parts, platform).await?;
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
        let moves = left.into_iter().map(|session| AskSession { session, stands: None, ask: Ask::Move });
        join_all(moves.map(|request| parts.writer.enqueue(request, None))).await;
    }
    Ok(())
}

/// What sessions that wait on a platform ask of their controller: each selector has a row of its own, so that what asks for the
/// impossible keeps nobody else waiting.
async fn selectors(parts: &Parts, platform: &str) -> Result<Vec<Value>, DbErr> {
    use session::Column as C;
    let waiting = session::Entity::find().select_only().column(C::Selector);
    let waiting = waiting.filter(Expr::cust(session::Entity::UNPLACED)).filter(C::Platform.eq(platform));
    waiting.distinct().into_tuple().all(&parts.database.reader).await
}

/// Those without an owner, oldest first, until no more find one.
async fn place_waiting<E: Commanded>(parts: &Parts, platform: &str) -> Result<(), DbErr> {
    loop {
        let waiting: Vec<Uuid> = E::find()
            .select_only()
            .column(E::KEY)
            .filter(Expr::cust(E::UNPLACED))
            .filter(E::PLATFORM.eq(platform))
            .order_by_asc(E::CREATED_MS)
            .limit(BATCH)
            .into_tuple()
            .all(&parts.database.reader)
            .await?;
        point("placement.decide", Moment::Before);
        let nudges = waiting.into_iter().map(|id| NudgeCommand::<E>::new(id, Nudge::Place));
        let placed = join_all(nudges.map(|nudge| parts.writer.enqueue(nudge, None))).await;
        point("placement.decide", Moment::After);
        let progress = placed.iter().any(|placed| placed.as_ref().is_ok_and(|progress| progress.has_owner));
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
            .column(E::KEY)
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
        let nudges = waiting.into_iter().map(|id| NudgeCommand::<E>::new(id, Nudge::OwnerReady));
        let released = join_all(nudges.map(|nudge| parts.writer.enqueue(nudge, None))).await;
        let progress = released.iter().any(|released| released.as_ref().is_ok_and(|progress| progress.is_under_way));
        if !progress || most == 1 {
            return Ok(());
        }
    }
}
