//! The tables that logs tell of, and their rows by the names of their columns.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, Iterable, QueryFilter, QueryOrder, QuerySelect,
    Select, Statement, TryGetable,
};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::finding::{Finding, Report, What};
use super::{Page, Position};
use crate::store::bulk::padded;
use crate::store::{application, controller, dead_letter, debt, job, session, template};

/// Keys of one statement.
const KEYS: usize = 512;

/// What has a log and a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Session,
    Application,
    Debt,
    Controller,
    Template,
    Job,
    DeadLetter,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] =
        [Self::Session, Self::Application, Self::Debt, Self::Controller, Self::Template, Self::Job, Self::DeadLetter];

    /// What an entity of `event_log` begins with.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Application => "application",
            Self::Debt => "debt",
            Self::Controller => "controller",
            Self::Template => "template",
            Self::Job => "job",
            Self::DeadLetter => "dead_letter",
        }
    }

    /// The kind of an entity; `None`: it has no table.
    pub(crate) fn of(entity: &str) -> Option<Self> {
        let (name, _) = entity.split_once(':')?;
        Self::named(name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn next(self) -> Option<Self> {
        let place = Self::ALL.iter().position(|kind| *kind == self)?;
        Self::ALL.get(place + 1).copied()
    }

    /// The rows with these keys, by their entities.
    async fn rows(self, db: &impl ConnectionTrait, keys: &[&str]) -> Result<Stored, DbErr> {
        match self {
            Self::Session => {
                stored(db, sessions(db.get_database_backend()), session::Column::SessionId, ids(keys)).await
            }
            Self::Application => {
                stored(db, application::Entity::find(), application::Column::InstallId, ids(keys)).await
            }
            Self::Debt => stored(db, debt::Entity::find(), debt::Column::DebtId, ids(keys)).await,
            Self::Controller => {
                stored(db, controller::Entity::find(), controller::Column::ControllerId, names(keys)).await
            }
            Self::Template => stored(db, template::Entity::find(), template::Column::Name, names(keys)).await,
            Self::Job => stored(db, job::Entity::find(), job::Column::JobId, ids(keys)).await,
            Self::DeadLetter => stored(db, dead_letter::Entity::find(), dead_letter::Column::Id, ids(keys)).await,
        }
        .map(|rows| rows.into_iter().map(|(key, row)| (format!("{}:{key}", self.name()), row)).collect())
    }

    /// The keys that come next, and where each row believes its log to end.
    async fn keys(
        self,
        db: &impl ConnectionTrait,
        after: Option<&str>,
        most: u64,
    ) -> Result<Vec<(String, i64)>, DbErr> {
        match self {
            Self::Session => {
                after_key::<session::Entity, Uuid>(
                    db,
                    session::Column::SessionId,
                    session::Column::EntitySeq,
                    after,
                    most,
                )
                .await
            }
            Self::Application => {
                after_key::<application::Entity, Uuid>(
                    db,
                    application::Column::InstallId,
                    application::Column::EntitySeq,
                    after,
                    most,
                )
                .await
            }
            Self::Debt => {
                after_key::<debt::Entity, Uuid>(db, debt::Column::DebtId, debt::Column::EntitySeq, after, most).await
            }
            Self::Controller => {
                after_key::<controller::Entity, String>(
                    db,
                    controller::Column::ControllerId,
                    controller::Column::EntitySeq,
                    after,
                    most,
                )
                .await
            }
            Self::Template => {
                after_key::<template::Entity, String>(
                    db,
                    template::Column::Name,
                    template::Column::EntitySeq,
                    after,
                    most,
                )
                .await
            }
            Self::Job => {
                after_key::<job::Entity, Uuid>(db, job::Column::JobId, job::Column::EntitySeq, after, most).await
            }
            Self::DeadLetter => {
                after_key::<dead_letter::Entity, Uuid>(
                    db,
                    dead_letter::Column::Id,
                    dead_letter::Column::EntitySeq,
                    after,
                    most,
                )
                .await
            }
        }
    }
}

type Stored = HashMap<String, Map<String, Value>>;

/// The rows of these entities, by their names; of those that have a table.
pub(super) async fn of<'a>(
    db: &impl ConnectionTrait,
    entities: impl Iterator<Item = &'a str>,
) -> Result<Stored, DbErr> {
    let mut keys: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, key) in entities.filter_map(|entity| entity.split_once(':')) {
        keys.entry(name).or_default().push(key);
    }
    let mut rows = Stored::new();
    for kind in Kind::ALL {
        for some in keys.remove(kind.name()).unwrap_or_default().chunks(KEYS) {
            rows.extend(kind.rows(db, some).await?);
        }
    }
    Ok(rows)
}

/// Rows of one table, looked for in the log.
pub(super) async fn page(db: &impl ConnectionTrait, of: &str, after: Option<&str>, most: u64) -> Result<Page, DbErr> {
    let begun = Instant::now();
    let mut report = Report::default();
    let Some(kind) = Kind::named(of) else { return Ok(Page { report, next: None }) };
    let keys = kind.keys(db, after, most).await?;
    let told = told(db, kind, &keys).await?;
    for (key, seq) in &keys {
        let entity = format!("{}:{key}", kind.name());
        let untouched = kind == Kind::DeadLetter && *seq == 0; // its log begins with what is done about it
        if !untouched && !told.contains(&entity) {
            report.find(Finding::new(&entity, What::RowWithoutLog));
        }
    }
    report.rows = i64::try_from(keys.len()).unwrap_or(i64::MAX);
    report.busy_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    let same = keys.last().filter(|_| keys.len() as u64 >= most);
    let next = match same {
        Some((key, _)) => Some(Position::Rows { of: of.to_owned(), after: Some(key.clone()) }),
        None => kind.next().map(|kind| Position::Rows { of: kind.name().to_owned(), after: None }),
    };
    Ok(Page { report, next })
}

/// Which of these have a log: its index is looked into once for each, however long the log is.
async fn told(db: &impl ConnectionTrait, kind: Kind, keys: &[(String, i64)]) -> Result<HashSet<String>, DbErr> {
    let names: Vec<String> = keys.iter().map(|(key, _)| format!("{}:{key}", kind.name())).collect();
    let backend = db.get_database_backend();
    let each = match backend {
        DbBackend::Postgres => "jsonb_array_elements_text($1::jsonb) AS asked(name)",
        _ => "(SELECT value AS name FROM json_each($1)) AS asked",
    };
    let sql = format!("SELECT name FROM {each} WHERE EXISTS (SELECT 1 FROM event_log WHERE entity = name)");
    let names = serde_json::to_string(&names).unwrap_or_default();
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, [names.into()])).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Sessions without their templates, which are no facts of theirs and bigger than the rest of them.
fn sessions(backend: DbBackend) -> Select<session::Entity> {
    let nothing = if backend == DbBackend::Postgres { "'null'::jsonb" } else { "'null'" };
    let columns = session::Column::iter().filter(|column| !matches!(column, session::Column::Template));
    session::Entity::find().select_only().columns(columns).expr_as(Expr::cust(nothing), "template")
}

fn ids(keys: &[&str]) -> Vec<sea_orm::Value> {
    keys.iter().filter_map(|key| key.parse::<Uuid>().ok()).map(Into::into).collect()
}

fn names(keys: &[&str]) -> Vec<sea_orm::Value> {
    keys.iter().map(|key| (*key).into()).collect()
}

async fn stored<E>(
    db: &impl ConnectionTrait,
    select: Select<E>,
    key: E::Column,
    keys: Vec<sea_orm::Value>,
) -> Result<Vec<(String, Map<String, Value>)>, DbErr>
where
    E: EntityTrait,
    E::Model: Serialize,
{
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows = select.filter(key.is_in(padded(keys))).all(db).await?;
    let named = rows.iter().filter_map(|row| {
        let Ok(Value::Object(columns)) = serde_json::to_value(row) else { return None };
        let key = columns.get(sea_orm::IdenStatic::as_str(&key))?.as_str()?.to_owned();
        Some((key, columns))
    });
    Ok(named.collect())
}

async fn after_key<E, K>(
    db: &impl ConnectionTrait,
    key: E::Column,
    seq: E::Column,
    after: Option<&str>,
    most: u64,
) -> Result<Vec<(String, i64)>, DbErr>
where
    E: EntityTrait,
    K: TryGetable + std::str::FromStr + ToString + Into<sea_orm::Value>,
{
    let mut select = E::find().select_only().column(key).column(seq);
    if let Some(after) = after.and_then(|after| after.parse::<K>().ok()) {
        select = select.filter(key.gt(after));
    }
    let rows: Vec<(K, i64)> = select.order_by_asc(key).limit(most).into_tuple().all(db).await?;
    Ok(rows.into_iter().map(|(key, seq)| (key.to_string(), seq)).collect())
}
