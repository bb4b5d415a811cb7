//! Dead letters by cause: those that failed in the same way, on one platform and controller, are one thing to mend.
//!
//! The fingerprint stands for the reason, the kind of subject and the error without its numbers and ids. Without other filters
//! the count is taken from one index that holds all of it, and only the letter that stands for each cause of a page is read.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Statement,
};
use serde::{Deserialize, Serialize};
use streams::subject::family;
use uuid::Uuid;

use crate::queries::{LetterFilter, letters};
use crate::store::dead_letter::{Column as C, Entity};

/// What can have become of a letter.
const STATES: [&str; 3] = ["open", "replayed", "discarded"];

/// Where a page begins: after the cause that was first seen then, with this fingerprint, platform and controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(i64, String, String, String);

/// Letters of one cause, counted.
#[derive(Debug, Clone, FromQueryResult)]
struct Counted {
    fingerprint: String,
    platform: Option<String>,
    controller_id: Option<String>,
    count: i64,
    open: i64,
    replayed: i64,
    discarded: i64,
    first_ms: i64,
    last_ms: i64,
    latest: Uuid,
}

/// The letter that stands for a cause.
#[derive(Debug, Clone, FromQueryResult)]
struct Latest {
    id: Uuid,
    reason: String,
    subject: String,
    error: String,
}

/// One cause, and how many letters it has.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the fields are those of the API
pub struct Cause {
    pub fingerprint: String,
    pub reason: String,
    /// What the subjects are about, without where.
    pub subject: String,
    pub platform: Option<String>,
    pub controller_id: Option<String>,
    pub count: i64,
    pub open: i64,
    pub replayed: i64,
    pub discarded: i64,
    pub first_ms: i64,
    pub last_ms: i64,
    /// The letter that was parked last.
    pub latest: Uuid,
    /// Its error.
    pub error: String,
}

impl Cause {
    /// Where the page after it begins.
    #[must_use]
    pub fn place(&self) -> Place {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        Place(self.first_ms, self.fingerprint.clone(), text(&self.platform), text(&self.controller_id))
    }
}

/// A page of causes, the newest first. A status narrows to causes that have such letters; the counts are of all theirs.
///
/// # Errors
/// What the database says.
pub async fn list(
    db: &impl ConnectionTrait,
    filter: &LetterFilter,
    after: Option<Place>,
    limit: u64,
) -> Result<Vec<Cause>, DbErr> {
    let counted = Counted::find_by_statement(page(db.get_database_backend(), filter, after, limit)).all(db).await?;
    let mut latest = latest(db, counted.iter().map(|row| row.latest)).await?;
    let cause = |row: Counted| latest.remove(&row.latest).map(|letter| cause(row, letter));
    Ok(counted.into_iter().filter_map(cause).collect())
}

/// The statement of a page; for tests of the index that it takes.
#[must_use]
pub fn page(backend: DbBackend, filter: &LetterFilter, after: Option<Place>, limit: u64) -> Statement {
    let newest = match backend {
        DbBackend::Postgres => "max(id::text)::uuid", // it has no greatest UUID, and their texts are in the same order
        _ => "max(id)",
    };
    let mut select = letters(&LetterFilter { status: None, ..filter.clone() })
        .select_only()
        .columns([C::Fingerprint, C::Platform, C::ControllerId])
        .column_as(Expr::cust("count(*)"), "count")
        .column_as(Expr::cust("min(created_ms)"), "first_ms")
        .column_as(Expr::cust("max(created_ms)"), "last_ms")
        .column_as(Expr::cust(newest), "latest");
    for status in STATES {
        select = select.column_as(in_state(status), status);
    }
    for column in [C::Fingerprint, C::Platform, C::ControllerId] {
        select = select.group_by(column);
    }
    if let Some(status) = STATES.into_iter().find(|status| filter.status.as_deref() == Some(*status)) {
        select = select.having(in_state(status).gt(0));
    }
    let key = key();
    if let Some(Place(first_ms, fingerprint, platform, controller)) = after {
        let values: [SimpleExpr; 4] = [first_ms.into(), fingerprint.into(), platform.into(), controller.into()];
        select = select.having(Expr::tuple(key.clone()).lt(Expr::tuple(values)));
    }
    for part in key {
        select = select.order_by(part, Order::Desc);
    }
    select.limit(limit).build(backend)
}

fn in_state(status: &'static str) -> Expr {
    Expr::cust(format!("count(CASE WHEN status = '{status}' THEN 1 END)"))
}

/// What never changes of a cause, as far as letters stay.
fn key() -> [Expr; 4] {
    ["min(created_ms)", "fingerprint", "coalesce(platform, '')", "coalesce(controller_id, '')"].map(Expr::cust)
}

async fn latest(db: &impl ConnectionTrait, ids: impl Iterator<Item = Uuid>) -> Result<HashMap<Uuid, Latest>, DbErr> {
    let select =
        Entity::find().select_only().columns([C::Id, C::Reason, C::Subject, C::Error]).filter(C::Id.is_in(ids));
    let rows = select.into_model::<Latest>().all(db).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

fn cause(row: Counted, latest: Latest) -> Cause {
    Cause {
        fingerprint: row.fingerprint,
        reason: latest.reason,
        subject: family(&latest.subject).to_owned(),
        platform: row.platform,
        controller_id: row.controller_id,
        count: row.count,
        open: row.open,
        replayed: row.replayed,
        discarded: row.discarded,
        first_ms: row.first_ms,
        last_ms: row.last_ms,
        latest: latest.id,
        error: latest.error,
    }
}
