//! What can be asked of the whole log: its rows newest first, narrowed by what they are about, and what became of one.
//!
//! Every accepted request pays for each index of the log, so these questions get by with those that are there. One filter
//! leads, the one that leaves least; the others are written so that SQLite, which keeps no figures about values, cannot take
//! the wrong index for them. Ids follow time, so a time is a range of ids, found by halving. What a command caused is in the
//! log of the same entity, so `causation_id` needs no index.

use sea_orm::sea_query::{Condition, Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Select, Statement,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::queries::{Rows, bounded};
use crate::store::event::{Column as C, Entity, Model};

/// Rows beyond which a subject's pattern is better found by reading backwards through the log.
const MANY: u64 = 10_000;
/// Engines that share a database may write ids this much out of the order of time, in milliseconds.
const SLACK_MS: i64 = 60_000;

/// Subjects: one, or those that begin so, as NATS writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a subject of printable ASCII, or one that ends in .* (one more token) or .> (one or more), without other wildcards"
)]
pub struct BadPattern;

impl TryFrom<String> for Pattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        let stem = text.strip_suffix(".*").or_else(|| text.strip_suffix(".>")).unwrap_or(&text);
        let token = |token: &str| !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic() && !"*>".contains(c));
        if text.len() <= 255 && stem.split('.').all(token) { Ok(Self(text)) } else { Err(BadPattern) }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl Pattern {
    /// What all of them begin with, its dot included; `None` where it is one subject.
    fn stem(&self) -> Option<&str> {
        self.0.ends_with(['*', '>']).then(|| &self.0[..self.0.len() - 1])
    }

    /// Whether a subject is meant.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        match self.stem().map(|stem| subject.strip_prefix(stem)) {
            None => subject == self.0,
            Some(rest) => rest.is_some_and(|rest| !rest.is_empty() && (self.0.ends_with('>') || !rest.contains('.'))),
        }
    }

    /// The same as a condition, for tables that are small enough to do without an index of subjects.
    pub(crate) fn matching(&self, column: impl ColumnTrait) -> Condition {
        let Some(stem) = self.stem() else { return Condition::all().add(column.eq(&self.0)) };
        let escaped = stem.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let like = |pattern: String| sea_orm::sea_query::LikeExpr::new(pattern).escape('\\');
        let begins = Condition::all().add(column.like(like(format!("{escaped}_%"))));
        if self.0.ends_with('>') { begins } else { begins.add(column.not_like(like(format!("{escaped}%.%")))) }
    }
}

/// What a list of events is narrowed by.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)] // the fields are those of the API
pub struct EventFilter {
    pub subject: Option<Pattern>,
    pub kind: Option<String>,
    pub status: Option<String>,
    pub entity: Option<String>,
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
}

/// A page of the log, newest first, from before this id on.
///
/// # Errors
/// What the database says; so for all of these.
pub async fn list(
    db: &impl ConnectionTrait,
    filter: &EventFilter,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    select(db, filter, before, limit).await?.all(db).await
}

/// The same, as far as the rows weigh no more than a page may.
#[allow(clippy::missing_errors_doc)]
pub async fn page(
    db: &DatabaseConnection,
    filter: &EventFilter,
    before: Option<i64>,
    limit: u64,
) -> Result<Rows<Model>, DbErr> {
    bounded(db, select(db, filter, before, limit).await?, Model::weight).await
}

/// What [`list`] asks: one filter leads, and only its column is bare.
#[allow(clippy::missing_errors_doc)]
pub async fn select(
    db: &impl ConnectionTrait,
    filter: &EventFilter,
    before: Option<i64>,
    limit: u64,
) -> Result<Select<Entity>, DbErr> {
    let subjects = match &filter.subject {
        Some(pattern) => Some(subjects(db, pattern).await?),
        None => None,
    };
    let few = match &subjects {
        Some(subjects) => filter.entity.is_none() && are_few(db, subjects).await?,
        None => false,
    };
    let by_status = filter.entity.is_none() && !few;
    let mut all = Condition::all();
    if let Some(entity) = &filter.entity {
        all = all.add(C::Entity.eq(entity));
    }
    if let Some(subjects) = subjects {
        all = all.add(one_of(db, C::Subject, few, subjects));
    }
    if let Some(status) = &filter.status {
        all = all.add(one_of(db, C::Status, by_status, vec![status.clone()]));
    }
    all = match filter.kind.as_deref() {
        Some("decision") => all.add(Expr::cust("kind = 'decision'")), // literally as in the partial index
        Some(kind) => all.add(C::Kind.eq(kind)),
        None => all,
    };
    all = within(db, filter, before, all).await?;
    Ok(Entity::find().filter(all).order_by_desc(C::Id).limit(limit))
}

/// A column among values, so that its index may be used for it, or so that on SQLite it cannot.
fn one_of(db: &impl ConnectionTrait, column: C, bare: bool, values: Vec<String>) -> Expr {
    let hidden = !bare && db.get_database_backend() == DbBackend::Sqlite;
    let column =
        if hidden { Expr::cust(format!("+{}", sea_orm::IdenStatic::as_str(&column))) } else { Expr::col(column) };
    match <[String; 1]>::try_from(values) {
        Ok([one]) => column.eq(one),
        Err(many) => column.is_in(many),
    }
}

/// The subjects of the log that a pattern means, found by leaping from one to the next in the index.
async fn subjects(db: &impl ConnectionTrait, pattern: &Pattern) -> Result<Vec<String>, DbErr> {
    let Some(stem) = pattern.stem() else { return Ok(vec![pattern.0.clone()]) };
    let place = if db.get_database_backend() == DbBackend::Postgres { "$1" } else { "?" };
    let sql = format!(
        "WITH RECURSIVE known(subject) AS (SELECT min(subject) FROM event_log WHERE subject > {place} UNION ALL \
         SELECT (SELECT min(subject) FROM event_log e WHERE e.subject > known.subject) FROM known \
         WHERE known.subject IS NOT NULL) SELECT subject FROM known WHERE subject IS NOT NULL"
    );
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [stem.into()])).await?;
    let all = rows.iter().map(|row| row.try_get("", "subject")).collect::<Result<Vec<String>, _>>()?;
    Ok(all.into_iter().filter(|subject| pattern.matches(subject)).collect())
}

async fn are_few(db: &impl ConnectionTrait, subjects: &[String]) -> Result<bool, DbErr> {
    if subjects.len() < 2 {
        return Ok(true); // the index of one subject is in the order of ids
    }
    let some = Entity::find().select_only().column(C::Id).filter(C::Subject.is_in(subjects)).limit(MANY);
    Ok(some.into_tuple::<i64>().all(db).await?.len() < MANY as usize)
}

/// Narrows to a range of ids, and exactly to the times.
async fn within(
    db: &impl ConnectionTrait,
    filter: &EventFilter,
    before: Option<i64>,
    mut all: Condition,
) -> Result<Condition, DbErr> {
    if let Some(before) = before {
        all = all.add(C::Id.lt(before));
    }
    if let Some(since_ms) = filter.since_ms {
        let first = first_at(db, since_ms.saturating_sub(SLACK_MS)).await?;
        all = all.add(C::Id.gte(first)).add(C::CreatedMs.gte(since_ms));
    }
    if let Some(until_ms) = filter.until_ms {
        let end = first_at(db, until_ms.saturating_add(SLACK_MS)).await?;
        all = all.add(C::Id.lt(end)).add(C::CreatedMs.lt(until_ms));
    }
    Ok(all)
}

/// The first id of a time or later, or one beyond the last.
async fn first_at(db: &impl ConnectionTrait, at_ms: i64) -> Result<i64, DbErr> {
    let rows = || Entity::find().select_only().column(C::Id).column(C::CreatedMs).limit(1);
    let newest = rows().order_by_desc(C::Id).into_tuple::<(i64, i64)>().one(db).await?;
    let (mut low, mut high) = (0, newest.map_or(0, |(id, _)| id) + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let next = rows().filter(C::Id.gte(middle)).order_by_asc(C::Id).into_tuple::<(i64, i64)>().one(db).await?;
        match next {
            Some((id, created_ms)) if created_ms < at_ms => low = id + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// An event by its id: what was sent rather than what was said or decided under the same one.
#[allow(clippy::missing_errors_doc)]
pub async fn get(db: &impl ConnectionTrait, event_id: Uuid) -> Result<Option<Model>, DbErr> {
    let same = Entity::find().filter(C::EventId.eq(event_id));
    let rank = |row: &Model| ["out", "in", "own"].iter().position(|direction| *direction == row.direction);
    Ok(same.all(db).await?.into_iter().min_by_key(rank))
}

/// The reports that a command caused, in the order in which they came.
#[allow(clippy::missing_errors_doc)]
pub async fn reports(db: &impl ConnectionTrait, command: &Model, limit: u64) -> Result<Vec<Model>, DbErr> {
    caused_by(command).filter(C::Kind.eq("report")).limit(limit).all(db).await
}

/// Everything that names a command as its cause, in order: reports, decisions, and the command of a replay.
#[allow(clippy::missing_errors_doc)]
pub async fn caused(db: &impl ConnectionTrait, command: &Model, limit: u64) -> Result<Vec<Model>, DbErr> {
    caused_by(command).limit(limit).all(db).await
}

fn caused_by(command: &Model) -> Select<Entity> {
    later(command).filter(C::CausationId.eq(command.event_id))
}

/// The next command about the same.
#[allow(clippy::missing_errors_doc)]
pub async fn next_command(db: &impl ConnectionTrait, command: &Model) -> Result<Option<Model>, DbErr> {
    later(command).filter(C::Kind.eq("command")).limit(1).one(db).await
}

fn later(than: &Model) -> Select<Entity> {
    let log = Entity::find().filter(C::Entity.eq(&than.entity)).filter(C::EntitySeq.gt(than.entity_seq));
    log.order_by_asc(C::EntitySeq)
}
