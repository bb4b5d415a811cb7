//! Scans of the log: the request and the findings.

use engine::jobs::{Kind, LogScan, NewJob, Pace, What};
use engine::verify::{self, Scan};
use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A comparison of the log with the tables.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyLog {
    /// Set rows that differ to what the log says; default: false.
    repair: Option<bool>,
}

impl VerifyLog {
    pub(super) fn into_job(self, created_by: String) -> NewJob {
        let what = What::Log(LogScan { repair: self.repair.unwrap_or_default() });
        NewJob {
            kind: Kind::Verify,
            what,
            force: false,
            dry_run: false,
            pace: Pace::default(),
            reason: None,
            created_by,
        }
    }
}

/// The findings of a scan so far.
#[derive(Debug, Object, Serialize)]
pub(super) struct LogReport {
    /// Entities whose logs were folded.
    entities: i64,
    /// Rows of the log that were read.
    events: i64,
    /// Rows per second of reading and comparing, without rests.
    events_per_second: i64,
    /// Entities that have only a log, and no table to compare with.
    only_log: i64,
    /// Rows of tables that were compared.
    rows: i64,
    /// Entities that differ.
    found: i64,
    /// Of these, repaired ones.
    repaired: i64,
    /// The first hundred of them.
    findings: Vec<Finding>,
}

/// An entity whose log and row differ.
#[derive(Debug, Object, Serialize)]
struct Finding {
    /// The entity, such as `session:<id>`.
    entity: String,
    /// `differs`, `gap` (a row of the log is missing), `log_without_row`, or `row_without_log`. Open: values
    /// may be added.
    what: String,
    /// For a gap: the missing position.
    missing: Option<i64>,
    /// Columns that differ.
    columns: Vec<DifferingColumn>,
    /// Whether the row was set to what the log says.
    repaired: bool,
    /// What to do; or why it was not repaired.
    advice: String,
}

/// A column that differs from the log.
#[derive(Debug, Object, Serialize)]
struct DifferingColumn {
    /// Name of the column.
    column: String,
    /// Value in the log; long values are cut.
    log: Value,
    /// Value in the row.
    row: Value,
}

impl From<Scan> for LogReport {
    fn from(scan: Scan) -> Self {
        let report = scan.report;
        Self {
            events_per_second: report.events_per_second(),
            entities: report.entities,
            events: report.events,
            only_log: report.only_log,
            rows: report.rows,
            found: report.found,
            repaired: report.repaired,
            findings: report.findings.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<verify::Finding> for Finding {
    fn from(finding: verify::Finding) -> Self {
        let columns = finding.columns.into_iter();
        Self {
            entity: finding.entity,
            what: finding.what.as_str().to_owned(),
            missing: finding.at,
            columns: columns.map(|c| DifferingColumn { column: c.column, log: c.log, row: c.row }).collect(),
            repaired: finding.repaired,
            advice: finding.advice,
        }
    }
}
