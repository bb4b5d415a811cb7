//! What a scan found: where the log and the tables do not agree, and what is to be done about it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Findings that a report keeps; the rest is counted.
pub const KEPT: usize = 100;
/// Characters of a value that are shown.
const SHOWN: usize = 200;

/// In what way they do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A row of the log is missing.
    Gap,
    /// Columns of the row are not what the log adds up to.
    Differs,
    /// There is a log, and the row that it tells of is not there.
    LogWithoutRow,
    /// There is a row, and no log tells of it, or its log tells that it went.
    RowWithoutLog,
}

impl What {
    /// The spelling in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Differs => "differs",
            Self::LogWithoutRow => "log_without_row",
            Self::RowWithoutLog => "row_without_log",
        }
    }

    const fn way_out(self) -> &'static str {
        match self {
            Self::Gap => {
                "the log cannot say what the row should be: take this entity's rows of event_log from a backup; until then its row \
                 stands alone"
            }
            Self::Differs => {
                "somebody wrote to the table beside the engine; a repair sets the row to what the log says"
            }
            Self::LogWithoutRow => "the row was deleted beside the engine: take it from a backup",
            Self::RowWithoutLog => {
                "its log was deleted, or it was inserted beside the engine: take its rows of event_log from a backup, or delete the row"
            }
        }
    }
}

/// A column that is not what the log says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub column: String,
    /// What the log adds up to.
    pub log: Value,
    /// What the row has.
    pub row: Value,
}

/// One entity that does not agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub entity: String,
    /// In what way.
    pub what: What,
    /// For a gap: the place in fold order that is missing.
    pub at: Option<i64>,
    /// For a row that differs: in what.
    pub columns: Vec<Column>,
    /// Whether the row was set to what the log says.
    pub repaired: bool,
    /// What is to be done; why a repair was not.
    pub advice: String,
}

impl Finding {
    pub(super) fn new(entity: &str, what: What) -> Self {
        let (entity, advice) = (entity.to_owned(), what.way_out().to_owned());
        Self { entity, what, at: None, columns: Vec::new(), repaired: false, advice }
    }

    pub(super) fn gap(entity: &str, at: i64) -> Self {
        Self { at: Some(at), ..Self::new(entity, What::Gap) }
    }

    pub(super) fn differs(entity: &str, columns: Vec<Column>) -> Self {
        let columns = columns.into_iter().map(Column::cut).collect();
        Self { columns, ..Self::new(entity, What::Differs) }
    }
}

impl Column {
    /// Values that a person can read.
    fn cut(self) -> Self {
        let cut = |value: Value| match value.to_string() {
            long if long.len() > SHOWN => Value::String(long.chars().take(SHOWN).chain(['…']).collect()),
            _ => value,
        };
        Self { log: cut(self.log), row: cut(self.row), ..self }
    }
}

/// What the log says of columns of a row that has something else.
pub(crate) fn difference(facts: &Map<String, Value>, last: i64, row: &Map<String, Value>) -> Vec<Column> {
    let seq = Value::from(last);
    let said = facts.iter().map(|(name, value)| (name.as_str(), value)).chain([("entity_seq", &seq)]);
    let columns = said.filter_map(|(name, log)| {
        let stands = row.get(name).filter(|stands| *stands != log)?; // a column that was dropped since is no difference
        Some(Column { column: name.to_owned(), log: log.clone(), row: stands.clone() })
    });
    columns.collect()
}

/// What was seen so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Entities whose logs were folded.
    pub entities: i64,
    /// Rows of the log.
    pub events: i64,
    /// Of the entities: those that have only a log, and no table to compare with.
    pub only_log: i64,
    /// Rows of tables for which a log was looked for.
    pub rows: i64,
    /// Milliseconds that reading and comparing took.
    pub busy_ms: i64,
    /// All that did not agree.
    pub found: i64,
    /// Of these: those that were repaired.
    pub repaired: i64,
    /// The first [`KEPT`] of them.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds what came next.
    pub fn add(&mut self, next: Self) {
        self.entities += next.entities;
        self.events += next.events;
        self.only_log += next.only_log;
        self.rows += next.rows;
        self.busy_ms += next.busy_ms;
        self.found += next.found;
        self.repaired += next.repaired;
        let room = KEPT.saturating_sub(self.findings.len());
        self.findings.extend(next.findings.into_iter().take(room));
    }

    /// What still does not agree.
    #[must_use]
    pub const fn standing(&self) -> i64 {
        self.found - self.repaired
    }

    /// Events that are read and compared in a second.
    #[must_use]
    pub const fn events_per_second(&self) -> i64 {
        self.events * 1_000 / if self.busy_ms > 0 { self.busy_ms } else { 1 }
    }

    pub(super) fn find(&mut self, finding: Finding) {
        self.found += 1;
        self.findings.push(finding);
    }
}
