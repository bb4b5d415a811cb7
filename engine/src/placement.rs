//! What happens to sessions that wait: when a controller takes work (again), they are tried once more.

use std::time::Duration;

use futures::future::join_all;
use machine::placement::{Place, choose};
use machine::session::Event;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use streams::crash::{Moment, point};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::parts::Parts;
use crate::store::{controller, session};
use crate::writer::{Done, Work};

/// Sessions that are tried together.
const BATCH: u64 = 500;
/// The slow scan behind the wake-ups: room that became free is noticed by then.
const POLL: Duration = Duration::from_secs(10);

pub(crate) async fn run(parts: Parts, cancel: CancellationToken) {
    loop {
        if let Err(error) = round(&parts).await {
            tracing::warn!(%error, "waiting sessions cannot be read");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = parts.wakes.placement.notified() => {}
            () = cancel.cancelled() => return,
        }
    }
}

async fn round(parts: &Parts) -> Result<(), DbErr> {
    let controllers = controller::Entity::find().all(&parts.database.reader).await?;
    let mut platforms: Vec<&str> = controllers.iter().map(|row| row.platform.as_str()).collect();
    platforms.sort_unstable();
    platforms.dedup();
    let candidates: Vec<_> = controllers.iter().map(|row| row.candidate(0)).collect();
    for platform in platforms {
        if matches!(choose(platform, &candidates), Place::Chosen { .. }) {
            place_waiting(parts, platform).await?;
        }
    }
    for row in controllers.iter().filter(|row| row.ready()) {
        release_waiting(parts, &row.controller_id).await?;
    }
    Ok(())
}

/// Sessions without an owner, oldest first, until no more find one.
async fn place_waiting(parts: &Parts, platform: &str) -> Result<(), DbErr> {
    loop {
        let waiting: Vec<Uuid> = session::Entity::find()
            .select_only()
            .column(session::Column::SessionId)
            .filter(session::Column::ControllerId.is_null())
            .filter(Expr::cust("status <> 'deleted'")) // literally as in the partial index, so that SQLite uses it
            .filter(session::Column::Status.is_not_in(["deleting", "failed"]))
            .filter(session::Column::Platform.eq(platform))
            .order_by_asc(session::Column::CreatedMs)
            .limit(BATCH)
            .into_tuple()
            .all(&parts.database.reader)
            .await?;
        point("placement.decide", Moment::Before);
        let placed = join_all(waiting.into_iter().map(|id| parts.writer.enqueue(Work::Place(id), None))).await;
        point("placement.decide", Moment::After);
        let progress = placed.iter().any(|done| matches!(done, Ok(Done::Session(row)) if row.controller_id.is_some()));
        if !progress {
            return Ok(());
        }
    }
}

/// Sessions whose owner takes work again, and whose open command waits for just that.
async fn release_waiting(parts: &Parts, controller_id: &str) -> Result<(), DbErr> {
    loop {
        let waiting: Vec<Uuid> = session::Entity::find()
            .select_only()
            .column(session::Column::SessionId)
            .filter(session::Column::ControllerId.eq(controller_id))
            .filter(session::Column::CommandId.is_not_null())
            .filter(session::Column::DeadlineMs.is_null())
            .filter(session::Column::NextAttemptMs.is_null())
            .limit(BATCH)
            .into_tuple()
            .all(&parts.database.reader)
            .await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let released =
            join_all(waiting.into_iter().map(|id| parts.writer.enqueue(Work::Happened(id, Event::OwnerReady), None)));
        let progress =
            released.await.iter().any(|done| matches!(done, Ok(Done::Session(row)) if row.deadline_ms.is_some()));
        if !progress {
            return Ok(());
        }
    }
}
