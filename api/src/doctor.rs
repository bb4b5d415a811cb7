//! What is wrong: the engine's examination of itself and of what it relies on.

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

/// What an examination found.
#[derive(Debug, Object, Serialize)]
struct Diagnosis {
    /// Whether nothing is wrong; warnings do not count.
    healthy: bool,
    /// One after another, in the order of the trip that a command makes.
    checks: Vec<DiagnosisCheck>,
}

/// What one check found.
#[derive(Debug, Object, Serialize)]
struct DiagnosisCheck {
    /// What was looked at: `database`, `outbox`, `streams`, `consumers`, `dead letters`, `controllers`, `worlds`, `timers` or `tasks`.
    name: String,
    /// `ok`, `warning` (worth a look) or `wrong` (something does not work, or two that must agree do not).
    verdict: String,
    /// The same, for people: that all is well, or the worst of what is not.
    sentence: String,
    /// What is not as it should be, the worst first: 20 at most.
    findings: Vec<DiagnosisFinding>,
    /// How many there are in all.
    total: i64,
    /// What was counted on the way, by name.
    counts: BTreeMap<String, i64>,
}

/// One thing that is not as it should be.
#[derive(Debug, Object, Serialize)]
struct DiagnosisFinding {
    /// `warning` or `wrong`.
    verdict: String,
    /// What it is about, as `controller:<id>`.
    about: String,
    /// What is the matter.
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
    /// Examine everything
    ///
    /// Holds what database, outbox, streams, consumers, dead letters and controllers say of the same things against each other, and
    /// says in words what disagrees and what to do. What cannot be read is `wrong` in its own check; the others are still told.
    #[oai(path = "/admin/doctor", method = "get", operation_id = "run_doctor")]
    async fn run(&self, _caller: Caller) -> Result<Json<Diagnosis>, Refused<Listing>> {
        Ok(Json(self.0.doctor().await.into()))
    }
}
