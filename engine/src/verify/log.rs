//! A page of the log, folded and compared with the rows.

use std::collections::HashMap;
use std::time::Instant;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use serde_json::{Map, Value};

use super::finding::{Finding, Report, What, difference};
use super::rows;
use super::{Page, Position};
use crate::entities::Kind;
use crate::fold::{Error as Fold, Folding};

/// What folding reads of a row of the log.
const COLUMNS: &str = "entity, entity_seq, subject, CAST(changes AS TEXT) AS changes";

/// An entity as its log tells of it.
struct Told {
    entity: String,
    rows: i64,
    folding: Folding,
    /// The place of the first row that is missing.
    gap: Option<i64>,
}

impl Told {
    fn take(&mut self, seq: i64, subject: &str, changes: Option<&str>) -> Result<(), DbErr> {
        self.rows += 1;
        if self.gap.is_some() {
            return Ok(());
        }
        let changes: Option<Value> = changes
            .map(|text| streams::limits::json::stored(text.as_bytes()))
            .transpose()
            .map_err(|error| DbErr::Json(error.to_string()))?;
        match self.folding.take(&self.entity, seq, subject, changes) {
            Err(Fold::Gap { at, .. }) => self.gap = Some(at),
            Err(Fold::Database(error)) => return Err(error.into()),
            Ok(()) => {}
        }
        Ok(())
    }
}

pub(super) async fn page(tx: &impl ConnectionTrait, after: &str, size: usize) -> Result<Page, DbErr> {
    let begun = Instant::now();
    let (told, more) = entities(tx, after, size).await?;
    let next = match told.last() {
        Some(last) if more => Position::Log { after: last.entity.clone() },
        _ => Position::Rows { of: Kind::ALL[0].name().to_owned(), after: None },
    };
    let mut report = compared(tx, told).await?;
    report.busy_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    Ok(Page { report, next: Some(next) })
}

/// The next whole entities, and whether there may be more behind them.
async fn entities(tx: &impl ConnectionTrait, after: &str, size: usize) -> Result<(Vec<Told>, bool), DbErr> {
    let sql = format!("SELECT {COLUMNS} FROM event_log WHERE entity > $1 ORDER BY entity, entity_seq LIMIT $2");
    let rows = read(tx, &sql, vec![after.into(), limit(size)]).await?;
    let more = rows.len() >= size;
    let mut told: Vec<Told> = Vec::new();
    take(&mut told, &rows)?;
    if more && told.len() > 1 {
        told.pop(); // it may go on behind the page
    } else if more {
        rest(tx, &mut told, size).await?;
    }
    Ok((told, more))
}

/// The rest of an entity whose log is longer than a page.
async fn rest(tx: &impl ConnectionTrait, told: &mut Vec<Told>, size: usize) -> Result<(), DbErr> {
    let sql =
        format!("SELECT {COLUMNS} FROM event_log WHERE entity = $1 AND entity_seq > $2 ORDER BY entity_seq LIMIT $3");
    let mut last = size;
    while last >= size {
        let Some(one) = told.last() else { break };
        let seq = one.folding.last().unwrap_or(0);
        if one.gap.is_some() {
            break; // what comes after changes nothing
        }
        let rows = read(tx, &sql, vec![one.entity.as_str().into(), seq.into(), limit(size)]).await?;
        last = rows.len();
        take(told, &rows)?;
    }
    Ok(())
}

fn take(told: &mut Vec<Told>, rows: &[QueryResult]) -> Result<(), DbErr> {
    for row in rows {
        let (entity, seq): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let (subject, changes): (String, Option<String>) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        if told.last().is_none_or(|last| last.entity != entity) {
            told.push(Told { entity, rows: 0, folding: Folding::default(), gap: None });
        }
        if let Some(last) = told.last_mut() {
            last.take(seq, &subject, changes.as_deref())?;
        }
    }
    Ok(())
}

async fn compared(tx: &impl ConnectionTrait, told: Vec<Told>) -> Result<Report, DbErr> {
    let stored = rows::of(tx, told.iter().map(|one| one.entity.as_str())).await?;
    let mut report = Report::default();
    for one in told {
        report.entities += 1;
        report.events += one.rows;
        report.only_log += i64::from(Kind::of(&one.entity).is_none());
        if let Some(finding) = finding(one, &stored) {
            report.find(finding);
        }
    }
    Ok(report)
}

fn finding(told: Told, stored: &HashMap<String, Map<String, Value>>) -> Option<Finding> {
    let entity = told.entity;
    if let Some(at) = told.gap {
        return Some(Finding::gap(&entity, at));
    }
    Kind::of(&entity)?;
    let row = match (stored.get(&entity), told.folding.is_gone()) {
        (None, true) => return None,
        (None, false) => return Some(Finding::new(&entity, What::LogWithoutRow)),
        (Some(_), true) => return Some(Finding::new(&entity, What::RowWithoutLog)),
        (Some(row), false) => row,
    };
    let last = told.folding.last().unwrap_or(0);
    if row.get("entity_seq").and_then(Value::as_i64).is_some_and(|stands| stands > last) {
        return Some(Finding::gap(&entity, last + 1)); // the end of the log is gone, and what it said is in the row alone
    }
    let columns = difference(&told.folding.facts(), last, row);
    (!columns.is_empty()).then(|| Finding::differs(&entity, columns))
}

fn limit(size: usize) -> sea_orm::Value {
    i64::try_from(size).unwrap_or(i64::MAX).into()
}

async fn read(tx: &impl ConnectionTrait, sql: &str, values: Vec<sea_orm::Value>) -> Result<Vec<QueryResult>, DbErr> {
    tx.query_all_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await
}
