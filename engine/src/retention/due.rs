//! What is due, read from the log.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select,
    Statement,
};
use uuid::Uuid;

use crate::store::bulk::MANY;
use crate::store::event::Column as C;
use crate::store::{dead_letter, event, job};

/// Where `meta` says up to which id the log was looked through.
pub(crate) const MARK: &str = "retention_mark";
/// Rows of one entity that are looked at together; what is beyond them goes when a later row of it is due.
const LOG: u64 = 1_000;

/// A row that may be due.
#[derive(Debug, FromQueryResult)]
pub struct Due {
    /// Its place in the log.
    pub id: i64,
    /// Whose it is.
    pub entity: String,
    /// When it was written.
    pub created_ms: i64,
}

/// The rows that follow a mark, in the order in which they were written, which is that of time.
#[must_use]
pub fn following(mark: i64, limit: u64) -> Select<event::Entity> {
    let rows = event::Entity::find().select_only().columns([C::Id, C::Entity, C::CreatedMs]);
    rows.filter(C::Id.gt(mark)).order_by_asc(C::Id).limit(limit)
}

/// The oldest row that was not looked at: all that a look costs while nothing is due.
///
/// # Errors
/// What the database says.
pub async fn first(db: &impl ConnectionTrait, mark: i64) -> Result<Option<Due>, DbErr> {
    following(mark, 1).into_model().one(db).await
}

pub(super) async fn page(db: &impl ConnectionTrait, mark: i64, limit: u64) -> Result<Vec<Due>, DbErr> {
    following(mark, limit).into_model().all(db).await
}

/// Up to which id the log was looked through.
pub(super) async fn mark(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let sql = format!("SELECT value FROM meta WHERE key = '{MARK}'");
    let Some(row) = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await? else {
        return Ok(0);
    };
    let text: String = row.try_get("", "value")?;
    text.parse().map_err(|_| DbErr::Custom(format!("{MARK} in meta is no number: {text:?}")))
}

pub(super) async fn newest(db: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    let id = event::Entity::find().select_only().column(C::Id).order_by_desc(C::Id).limit(1);
    id.into_tuple().one(db).await
}

pub(super) async fn log(db: &impl ConnectionTrait, entity: &str) -> Result<Vec<event::Model>, DbErr> {
    crate::queries::events(db, entity, 0, LOG).await
}

/// Those of the events that an open dead letter is about: they are shown with it, and needed to replay it.
pub(super) async fn held(db: &impl ConnectionTrait, ids: Vec<Uuid>) -> Result<HashSet<Uuid>, DbErr> {
    use dead_letter::Column as L;
    let mut held = HashSet::new();
    for ids in ids.chunks(MANY) {
        let open = dead_letter::Entity::find().select_only().column(L::EventId);
        // literally as in the partial index
        let open = open.filter(Expr::cust("status = 'open'")).filter(Expr::col(L::EventId).is_in(ids.to_vec()));
        held.extend(open.into_tuple::<Uuid>().all(db).await?);
    }
    Ok(held)
}

/// Closed letters, those that were closed first before the others; all of a look while nothing is due is the first of them.
#[must_use]
pub fn closed(before_ms: i64, limit: u64) -> Select<dead_letter::Entity> {
    use dead_letter::Column as L;
    let closed = dead_letter::Entity::find().filter(Expr::cust("status <> 'open'")); // as in the partial index
    closed.filter(L::UpdatedMs.lte(before_ms)).filter(L::Copied.eq(true)).order_by_asc(L::UpdatedMs).limit(limit)
}

/// The same of jobs that ended.
#[must_use]
pub fn finished(before_ms: i64, limit: u64) -> Select<job::Entity> {
    use job::Column as J;
    let finished = job::Entity::find().filter(J::FinishedMs.is_not_null());
    finished.filter(J::FinishedMs.lte(before_ms)).order_by_asc(J::FinishedMs).limit(limit)
}
