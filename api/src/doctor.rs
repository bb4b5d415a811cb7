//! The doctor: the engine's checks of itself and of what it relies on.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Engine;
use engine::doctor::{Check, Finding, Report};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use crate::auth::Caller;
use crate::document::Tag;
use crate::json::Json;
use crate::problem::{Listing, Refused};

/// The result of all checks.
#[derive(Debug, Object, Serialize)]
struct Diagnosis {
    /// Whether nothing is wrong; warnings do not count.
    healthy: bool,
    /// The checks, in the order in which a command passes them.
    checks: Vec<DiagnosisCheck>,
}

/// The result of one check.
#[derive(Debug, Object, Serialize)]
struct DiagnosisCheck {
    /// The check: `database`, `outbox`, `streams`, `consumers`, `repeats`, `dead letters`, `controllers`,
    /// `worlds`, `timers` or `tasks`.
    name: String,
    /// `ok`, `warning` (worth a look) or `wrong` (something does not work, or two things disagree that must agree).
    verdict: String,
    /// The result for people: that all is well, or the worst finding.
    sentence: String,
    /// Findings, the worst first: at most 20.
    findings: Vec<DiagnosisFinding>,
    /// Number of findings in all.
    total: i64,
    /// Counters of the check, by name.
    counts: BTreeMap<String, i64>,
}

/// A finding.
#[derive(Debug, Object, Serialize)]
struct DiagnosisFinding {
    /// `warning` or `wrong`.
    verdict: String,
    /// What it is about, such as `controller:<id>`.
    about: String,
    /// The problem.
    sentence: String,
    /// What to do about it.
    way_out: String,
}

impl From<Report> for Diagnosis {
    fn from(report: Report) -> Self {
        Self { healthy: report.healthy(), checks: report.checks.into_iter().map(Into::into).collect() }
    }
}

impl From<Check> for DiagnosisCheck {
    fn from(check: Check) -> Self {
        Self {
            name: check.name.to_owned(),
            verdict: check.verdict().as_str().to_owned(),
            sentence: check.sentence(),
            findings: check.findings.into_iter().map(Into::into).collect(),
            total: i64::try_from(check.total).unwrap_or(i64::MAX),
            counts: check.counts,
        }
    }
}

impl From<Finding> for DiagnosisFinding {
    fn from(finding: Finding) -> Self {
        let Finding { verdict, about, sentence, way_out } = finding;
        Self { verdict: verdict.as_str().to_owned(), about, sentence, way_out }
    }
}

pub(crate) struct Doctor(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl Doctor {
    /// Run all checks
    ///
    /// Compares what database, outbox, streams, consumers, dead letters and controllers say of the same things,
    /// and reports what disagrees and what to do. A check that cannot be read is `wrong` itself; the others are
    /// reported nevertheless.
    #[oai(path = "/admin/doctor", method = "get", operation_id = "run_doctor")]
    async fn run(&self, caller: Caller) -> Result<Json<Diagnosis>, Refused<Listing>> {
        Ok(Json(caller.on(&self.0).doctor().await?.into()))
    }
}
