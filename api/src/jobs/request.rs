//! Requests for jobs. An empty filter is refused unless `all` is set.

use engine::FieldError;
use engine::events::Pattern;
use engine::jobs::{Kind, NewJob, Pace, What};
use engine::use_cases::{LetterFilter, SessionFilter};
use poem_openapi::{Enum, Object};
use serde::Deserialize;
use serde_json::{Value, json};
use streams::wire::SessionState;

use crate::moment::Moment;
use crate::timestamp::Timestamp;

/// The action on each session.
#[derive(Debug, Clone, Copy, Enum, Deserialize)]
#[oai(rename = "BulkAction", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
enum Action {
    Hibernate,
    Wake,
    Delete,
}

/// An action on many sessions.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsBulk {
    /// The action.
    action: Action,
    /// For `delete`: do not wait for unreachable controllers; default: false.
    force: Option<bool>,
    /// The sessions.
    filter: SessionsMeant,
    /// Change nothing, and show what would be done; default: false.
    dry_run: Option<bool>,
}

/// Selects sessions that match everything given.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionsMeant {
    /// Filter by user.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    user_id: Option<String>,
    /// Filter by state; `all` for every one.
    #[oai(validator(
        pattern = r"^(all|pending|creating|running|hibernating|hibernated|waking|deleting|deleted|failed)$"
    ))]
    status: Option<String>,
    /// Filter by platform.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    platform: Option<String>,
    /// Filter by controller.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    controller_id: Option<String>,
    /// Filter by template.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    template_id: Option<String>,
    /// Filter by tag.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    tag: Option<String>,
    /// Only sessions that were created by this time: RFC 3339, a date, or an age such as `10m`. A list that was
    /// read then is meant as it was, without what came later.
    until: Option<Moment>,
    /// Must be true if nothing else is given; `until` alone does not count.
    all: Option<bool>,
}

/// A replay of many dead letters.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayMany {
    /// The letters.
    filter: LettersMeant,
    /// Change nothing, and show what would be done; default: false.
    dry_run: Option<bool>,
    /// Process this many first, and the others only if all of these succeed.
    #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
    canary: Option<u32>,
    /// Maximum items per second.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    rate: Option<u32>,
}

/// Selects dead letters that match everything given.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
struct LettersMeant {
    /// Filter by state; default: `open`.
    #[oai(validator(pattern = r"^(open|replayed|discarded)$"))]
    status: Option<String>,
    /// Filter by reason.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    reason: Option<String>,
    /// Filter by subject; a trailing `.*` or `.>` matches all that begin so.
    #[oai(validator(max_length = 255, pattern = r"^[!-)+-\-/-=?-~]+(\.[!-)+-\-/-=?-~]+)*(\.[*>])?$"))]
    subject: Option<String>,
    /// Filter by platform.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    platform: Option<String>,
    /// Filter by controller.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    controller_id: Option<String>,
    /// Filter by entity, such as `session:<id>`.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    entity: Option<String>,
    /// Filter by fingerprint.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    fingerprint: Option<String>,
    /// Filter by a text in subject, error or entity, ignoring case.
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    q: Option<String>,
    /// Letters parked at or after this time: RFC 3339, a date, or an age such as `10m`.
    since: Option<Moment>,
    /// Letters parked before this time, in the same formats.
    until: Option<Moment>,
    /// Must be true if nothing else is given.
    all: Option<bool>,
}

impl SessionsBulk {
    pub(super) fn into_job(self, created_by: String) -> Result<NewJob, Vec<FieldError>> {
        let kind = match self.action {
            Action::Hibernate => Kind::Hibernate,
            Action::Wake => Kind::Wake,
            Action::Delete => Kind::Delete,
        };
        let force = self.force.unwrap_or_default();
        let mut check = Check::default();
        if force && kind != Kind::Delete {
            check.add("force", "is for the action delete only".into(), "leave it out");
        }
        let all = self.filter.all;
        let filter = self.filter.checked(&mut check);
        let whole = SessionFilter { until_ms: filter.until_ms, ..SessionFilter::default() };
        check.meant(filter == whole, all, "session that is not deleted");
        check.done()?;
        let (what, dry_run, pace) = (What::Sessions(filter), self.dry_run.unwrap_or_default(), Pace::default());
        Ok(NewJob { kind, what, force, dry_run, pace, reason: None, created_by })
    }
}

impl SessionsMeant {
    fn checked(self, check: &mut Check) -> SessionFilter {
        let status = check.text("filter.status", self.status);
        if let Some(status) = status.as_deref().filter(|name| *name != "all" && SessionState::from_name(name).is_none())
        {
            check.add(
                "filter.status",
                format!("{status:?} is not a state"),
                "write pending, creating, running, hibernating, hibernated, waking, deleting, deleted, failed or all",
            );
        }
        SessionFilter {
            user_id: check.text("filter.user_id", self.user_id),
            status: status.into_iter().collect(),
            platform: check.text("filter.platform", self.platform),
            controller_id: check.text("filter.controller_id", self.controller_id),
            template_id: check.text("filter.template_id", self.template_id),
            tag: check.text("filter.tag", self.tag),
            until_ms: self.until.map(Moment::ms),
        }
    }
}

impl ReplayMany {
    pub(super) fn into_job(self, created_by: String) -> Result<NewJob, Vec<FieldError>> {
        let mut check = Check::default();
        let all = self.filter.all;
        let mut filter = self.filter.checked(&mut check);
        check.meant(filter == LetterFilter::default(), all, "open dead letter");
        check.within("canary", self.canary, 100);
        check.within("rate", self.rate, 1_000);
        check.done()?;
        filter.status.get_or_insert_with(|| "open".to_owned());
        Ok(NewJob {
            kind: Kind::Replay,
            what: What::Letters(filter),
            force: false,
            dry_run: self.dry_run.unwrap_or_default(),
            pace: Pace { canary: self.canary, rate: self.rate },
            reason: None,
            created_by,
        })
    }
}

/// A discard of many dead letters.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscardMany {
    /// The letters.
    filter: LettersMeant,
    /// Reason, kept in the log.
    #[oai(validator(min_length = 1, max_length = 500, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    reason: String,
    /// Change nothing, and show what would be done; default: false.
    dry_run: Option<bool>,
    /// Maximum items per second.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    rate: Option<u32>,
}

impl DiscardMany {
    pub(super) fn into_job(self, created_by: String) -> Result<NewJob, Vec<FieldError>> {
        let mut check = Check::default();
        let all = self.filter.all;
        let mut filter = self.filter.checked(&mut check);
        check.meant(filter == LetterFilter::default(), all, "open dead letter");
        check.within("rate", self.rate, 1_000);
        let says = (1..=500).contains(&self.reason.chars().count()) && !self.reason.trim().is_empty();
        if !says || self.reason.contains('\0') {
            let rule = "must have 1 to 500 characters and say something".into();
            check.add("reason", rule, "say why they are no longer needed");
        }
        check.done()?;
        filter.status.get_or_insert_with(|| "open".to_owned());
        Ok(NewJob {
            kind: Kind::Discard,
            what: What::Letters(filter),
            force: false,
            dry_run: self.dry_run.unwrap_or_default(),
            pace: Pace { canary: None, rate: self.rate },
            reason: Some(self.reason),
            created_by,
        })
    }
}

impl LettersMeant {
    fn checked(self, check: &mut Check) -> LetterFilter {
        let status = check.text("filter.status", self.status);
        if let Some(status) = status.as_deref().filter(|name| !["open", "replayed", "discarded"].contains(name)) {
            check.add(
                "filter.status",
                format!("{status:?} is not a state of a dead letter"),
                "write open, replayed or discarded",
            );
        }
        let subject = self.subject.map(Pattern::try_from).transpose().unwrap_or_else(|bad| {
            check.add("filter.subject", bad.to_string(), "write it as streamspace.session.>");
            None
        });
        LetterFilter {
            status,
            reason: check.text("filter.reason", self.reason),
            subject,
            platform: check.text("filter.platform", self.platform),
            controller_id: check.text("filter.controller_id", self.controller_id),
            entity: check.text("filter.entity", self.entity),
            fingerprint: check.text("filter.fingerprint", self.fingerprint),
            q: check.text("filter.q", self.q),
            since_ms: self.since.map(Moment::ms),
            until_ms: self.until.map(Moment::ms),
        }
    }
}

/// Collects the mistakes of a request.
#[derive(Debug, Default)]
struct Check(Vec<FieldError>);

impl Check {
    fn add(&mut self, field: &str, rule: String, hint: &str) {
        self.0.push(FieldError { field: field.to_owned(), rule, hint: hint.into() });
    }

    /// A text to compare with; one that nothing can equal is a mistake.
    fn text(&mut self, field: &str, value: Option<String>) -> Option<String> {
        let bad = |text: &String| text.is_empty() || text.chars().count() > 255 || text.contains(char::is_control);
        if value.as_ref().is_some_and(bad) {
            self.add(
                field,
                "must have 1 to 255 characters and no control characters".into(),
                "leave it out to match any",
            );
        }
        value
    }

    fn within(&mut self, field: &str, number: Option<u32>, most: u32) {
        if let Some(number) = number.filter(|number| !(1..=most).contains(number)) {
            self.add(field, format!("must be from 1 to {most}, not {number}"), "leave it out to do without");
        }
    }

    fn meant(&mut self, empty: bool, all: Option<bool>, what: &str) {
        if empty && self.0.is_empty() && all != Some(true) {
            self.add("filter", format!("is empty, which would mean every {what}"), "narrow it, or add \"all\": true");
        }
    }

    fn done(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// A filter as it is stored, with its times in the API's format.
pub(super) fn shown(mut filter: Value) -> Value {
    for (kept, name) in [("since_ms", "since"), ("until_ms", "until")] {
        if let Some(fields) = filter.as_object_mut()
            && let Some(ms) = fields.remove(kept).and_then(|ms| ms.as_i64())
        {
            fields.insert(name.into(), json!(Timestamp::from_ms(ms).text()));
        }
    }
    filter
}
