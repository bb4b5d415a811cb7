//! What can be asked of the tables. Everything here only reads, by an index.

mod letters;
mod rows;
mod seek;
pub(crate) mod sessions;

use sea_orm::sea_query::{Condition, Expr, ExprTrait, Func, LikeExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use letters::{ListedLetter, dead_letters};
pub(crate) use rows::bounded;
pub use rows::{PAGE_BYTES, Rows, weight};
pub use seek::Seek;
pub use sessions::{SessionFilter, SessionPosition, SessionSort, sessions};

use crate::events::Pattern;
use crate::store::{application, cleanup, controller, dead_letter, event, job, session, template};

/// A row's position in a list that is ordered by creation: its creation time and its id.
pub type Position = (i64, Uuid);

/// What a list of dead letters is narrowed by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the fields are those of the API
pub struct LetterFilter {
    pub status: Option<String>,
    pub reason: Option<String>,
    pub subject: Option<Pattern>,
    pub platform: Option<String>,
    pub controller_id: Option<String>,
    pub entity: Option<String>,
    pub fingerprint: Option<String>,
    /// What the subject, the error or the entity has somewhere in it.
    pub q: Option<String>,
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
}

/// One session.
///
/// # Errors
/// What the database says; so for all of these.
pub async fn session(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<session::Model>, DbErr> {
    session::Entity::find_by_id(id).one(db).await
}

/// The log of one entity, in the order in which it is folded.
#[allow(clippy::missing_errors_doc)]
pub async fn events(
    db: &impl ConnectionTrait,
    entity: &str,
    after_seq: i64,
    limit: u64,
) -> Result<Vec<event::Model>, DbErr> {
    events_after(entity, after_seq, limit).all(db).await
}

/// The same, as far as they weigh no more than a page may.
#[allow(clippy::missing_errors_doc)]
pub async fn events_page(
    db: &DatabaseConnection,
    entity: &str,
    after_seq: i64,
    limit: u64,
) -> Result<Rows<event::Model>, DbErr> {
    bounded(db, events_after(entity, after_seq, limit), event::Model::weight).await
}

fn events_after(entity: &str, after_seq: i64, limit: u64) -> Select<event::Entity> {
    event::Entity::find()
        .filter(event::Column::Entity.eq(entity))
        .filter(event::Column::EntitySeq.gt(after_seq))
        .order_by_asc(event::Column::EntitySeq)
        .limit(limit)
}

/// One command of the log.
#[allow(clippy::missing_errors_doc)]
pub async fn command(db: &impl ConnectionTrait, event_id: Uuid) -> Result<Option<event::Model>, DbErr> {
    event::Entity::find()
        .filter(event::Column::EventId.eq(event_id))
        .filter(event::Column::Direction.eq(event::Kind::Command.direction()))
        .one(db)
        .await
}

/// One template, deleted or not.
#[allow(clippy::missing_errors_doc)]
pub async fn template(db: &impl ConnectionTrait, name: &str) -> Result<Option<template::Model>, DbErr> {
    template::Entity::find_by_id(name.to_owned()).one(db).await
}

/// A page of templates by name.
#[allow(clippy::missing_errors_doc)]
pub async fn templates(
    db: &DatabaseConnection,
    category: Option<&str>,
    seek: Option<Seek<String>>,
    limit: u64,
) -> Result<Rows<template::Model>, DbErr> {
    let mut select = template::Entity::find().filter(template::Column::Deleted.eq(false));
    if let Some(category) = category {
        select = select.filter(template::Column::Category.eq(category));
    }
    let select = seek::by_name(select, template::Column::Name, seek).limit(limit);
    bounded(db, select, |row| weight(&row.manifest)).await
}

/// What a list of applications is narrowed by.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)] // the fields are those of the API
pub struct ApplicationFilter {
    pub platform: Option<String>,
    /// One state, or `all`; none of them: all but uninstalled.
    pub status: Option<String>,
    pub template_name: Option<String>,
}

/// One application.
#[allow(clippy::missing_errors_doc)]
pub async fn application(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<application::Model>, DbErr> {
    application::Entity::find_by_id(id).one(db).await
}

/// A page of applications, newest first.
#[allow(clippy::missing_errors_doc)]
pub async fn applications(
    db: &DatabaseConnection,
    filter: &ApplicationFilter,
    seek: Option<Seek<Position>>,
    limit: u64,
) -> Result<Rows<application::Model>, DbErr> {
    use application::Column as C;
    let mut select = application::Entity::find();
    for (column, value) in [(C::Platform, &filter.platform), (C::TemplateName, &filter.template_name)] {
        if let Some(value) = value {
            select = select.filter(column.eq(value));
        }
    }
    select = match filter.status.as_deref() {
        None => select.filter(C::InstallStatus.ne("uninstalled")),
        Some("all") => select,
        Some(status) => select.filter(C::InstallStatus.eq(status)),
    };
    let select = seek::newest_first(select, (C::CreatedMs, C::InstallId), seek).limit(limit);
    bounded(db, select, weight).await
}

/// How many living sessions use the templates of applications: each a template's name and a platform, with its count.
#[allow(clippy::missing_errors_doc)]
pub async fn in_use(
    db: &impl ConnectionTrait,
    names: impl IntoIterator<Item = &str>,
) -> Result<Vec<(String, String, i64)>, DbErr> {
    use session::Column as C;
    session::Entity::find()
        .select_only()
        .column(C::TemplateId)
        .column(C::Platform)
        .column_as(C::SessionId.count(), "count")
        .filter(C::TemplateId.is_in(names))
        .filter(C::Status.is_in(sessions::living()))
        .group_by(C::TemplateId)
        .group_by(C::Platform)
        .into_tuple()
        .all(db)
        .await
}

/// Every controller that ever reported.
#[allow(clippy::missing_errors_doc)]
pub async fn controllers(db: &impl ConnectionTrait) -> Result<Vec<controller::Model>, DbErr> {
    controller::Entity::find().order_by_asc(controller::Column::ControllerId).all(db).await
}

/// One controller.
#[allow(clippy::missing_errors_doc)]
pub async fn controller(db: &impl ConnectionTrait, id: &str) -> Result<Option<controller::Model>, DbErr> {
    controller::Entity::find().filter(controller::Column::ControllerId.eq(id)).one(db).await
}

/// How many sessions controllers have still to remove that were revoked, where there are any.
#[allow(clippy::missing_errors_doc)]
pub async fn owed(db: &impl ConnectionTrait) -> Result<Vec<(String, i64)>, DbErr> {
    use cleanup::Column as C;
    cleanup::Entity::find()
        .select_only()
        .column(C::ControllerId)
        .column_as(C::DebtId.count(), "count")
        .filter(Expr::cust("status <> 'settled'")) // literally as in the partial index
        .group_by(C::ControllerId)
        .into_tuple()
        .all(db)
        .await
}

/// Whether a controller of a platform ever reported, and may serve it.
#[allow(clippy::missing_errors_doc)]
pub async fn has_controller(db: &impl ConnectionTrait, platform: &str) -> Result<bool, DbErr> {
    Ok(controller::Entity::find()
        .filter(controller::Column::Platform.eq(platform))
        .filter(controller::Column::Admitted.eq(true))
        .count(db)
        .await?
        > 0)
}

/// The platforms of all admitted controllers, alive or not, by name.
#[allow(clippy::missing_errors_doc)]
pub async fn announced_platforms(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    controller::Entity::find()
        .select_only()
        .column(controller::Column::Platform)
        .distinct()
        .filter(controller::Column::Admitted.eq(true))
        .order_by_asc(controller::Column::Platform)
        .into_tuple()
        .all(db)
        .await
}

/// Those of the dead letters that a filter means.
pub(crate) fn letters(filter: &LetterFilter) -> Select<dead_letter::Entity> {
    use dead_letter::Column as C;
    let equal = [
        (C::Status, &filter.status),
        (C::Reason, &filter.reason),
        (C::Platform, &filter.platform),
        (C::ControllerId, &filter.controller_id),
        (C::Entity, &filter.entity),
        (C::Fingerprint, &filter.fingerprint),
    ];
    let mut select = dead_letter::Entity::find();
    for (column, value) in equal {
        if let Some(value) = value {
            select = select.filter(column.eq(value));
        }
    }
    if let Some(pattern) = &filter.subject {
        select = select.filter(pattern.matching(C::Subject));
    }
    if let Some(text) = &filter.q {
        let anywhere = [C::Subject, C::Error, C::Entity].map(|column| has_somewhere(column, text));
        select = select.filter(anywhere.into_iter().fold(Condition::any(), Condition::add));
    }
    if let Some(since_ms) = filter.since_ms {
        select = select.filter(C::CreatedMs.gte(since_ms));
    }
    if let Some(until_ms) = filter.until_ms {
        select = select.filter(C::CreatedMs.lt(until_ms));
    }
    select
}

/// Whether a column has a text somewhere in it, in whatever case its ASCII letters are.
fn has_somewhere(column: impl ColumnTrait, text: &str) -> Expr {
    let escaped = text.to_ascii_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    Func::lower(Expr::col(column)).like(LikeExpr::new(format!("%{escaped}%")).escape('\\'))
}

/// One job.
#[allow(clippy::missing_errors_doc)]
pub async fn job(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<job::Model>, DbErr> {
    job::Entity::find_by_id(id).one(db).await
}

/// A page of jobs, newest first; by status and kind where given.
#[allow(clippy::missing_errors_doc)]
pub async fn jobs(
    db: &impl ConnectionTrait,
    status: Option<&str>,
    kind: Option<&str>,
    seek: Option<Seek<Position>>,
    limit: u64,
) -> Result<Vec<job::Model>, DbErr> {
    use job::Column as C;
    let mut select = job::Entity::find();
    for (column, value) in [(C::Status, status), (C::Kind, kind)] {
        if let Some(value) = value {
            select = select.filter(column.eq(value));
        }
    }
    seek::newest_first(select, (C::CreatedMs, C::JobId), seek).limit(limit).all(db).await
}

/// One dead letter.
#[allow(clippy::missing_errors_doc)]
pub async fn dead_letter(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<dead_letter::Model>, DbErr> {
    crate::dead_letters::get(db, id).await
}
