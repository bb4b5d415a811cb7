//! The tables that logs tell of, and their rows by the names of their columns.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, IdenStatic as _, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use serde_json::{Map, Value};

use super::finding::{Finding, Report, What};
use super::{Page, Position};
use crate::entities::{Kind, Noun, nouns};
use crate::store::bulk::padded;

/// Keys of one statement.
const KEYS: usize = 512;

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
            rows.extend(nouns!(of_kind(kind, N, stored::<N>(db, some).await?)));
        }
    }
    Ok(rows)
}

/// Rows of one table, looked for in the log.
pub(super) async fn page(db: &impl ConnectionTrait, of: &str, after: Option<&str>, most: u64) -> Result<Page, DbErr> {
    let begun = Instant::now();
    let mut report = Report::default();
    let Some(kind) = Kind::named(of) else { return Ok(Page { report, next: None }) };
    let (keys, from_birth) = nouns!(of_kind(kind, N, (after_key::<N>(db, after, most).await?, N::LOGGED_FROM_BIRTH)));
    let told = told(db, kind, &keys).await?;
    for (key, seq) in &keys {
        let entity = format!("{}:{key}", kind.name());
        let untouched = !from_birth && *seq == 0; // its log begins with what is done about it
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

async fn stored<N: Noun>(db: &impl ConnectionTrait, keys: &[&str]) -> Result<Stored, DbErr> {
    let keys: Vec<N::Key> = keys.iter().filter_map(|key| key.parse().ok()).collect();
    if keys.is_empty() {
        return Ok(Stored::new());
    }
    let keys: Vec<sea_orm::Value> = keys.into_iter().map(Into::into).collect();
    let rows = N::compared(db.get_database_backend()).filter(N::KEY.is_in(padded(keys))).all(db).await?;
    let named = rows.iter().filter_map(|row| {
        let Ok(Value::Object(columns)) = serde_json::to_value(row) else { return None };
        let key = columns.get(N::KEY.as_str())?.as_str()?;
        Some((format!("{}:{key}", N::NAME), columns))
    });
    Ok(named.collect())
}

/// The keys that come next, and where each row believes its log to end.
async fn after_key<N: Noun>(
    db: &impl ConnectionTrait,
    after: Option<&str>,
    most: u64,
) -> Result<Vec<(String, i64)>, DbErr> {
    let mut select = N::find().select_only().column(N::KEY).column(N::ENTITY_SEQ);
    if let Some(after) = after.and_then(|after| after.parse::<N::Key>().ok()) {
        select = select.filter(N::KEY.gt(after));
    }
    let rows: Vec<(N::Key, i64)> = select.order_by_asc(N::KEY).limit(most).into_tuple().all(db).await?;
    Ok(rows.into_iter().map(|(key, seq)| (key.to_string(), seq)).collect())
}
