//! The results of a dry run.

use engine::use_cases::{Outlook as Found, Outlooks};
use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The expected result for one item.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Outlook {
    /// The session or the dead letter.
    id: Uuid,
    /// The entity it is about, such as `session:<id>`.
    entity: Option<String>,
    /// A machine-readable result: the verb of the command that would be issued, such as `session.create`;
    /// `message` for one that would return to its subject; `nothing` if there is nothing to do; or a decision.
    outcome: String,
    /// The result for people: the present and the expected state.
    text: String,
    /// Its user.
    user_id: Option<String>,
    /// Controller that would carry it out.
    controller_id: Option<String>,
    /// What would be destroyed, if anything.
    destroys: Option<String>,
}

/// How often a result occurs.
#[derive(Debug, Object, Serialize)]
struct OutcomeCount {
    /// As in an outlook, or the type of the problem that refuses it.
    outcome: String,
    /// Number of items.
    count: i64,
}

/// The results of a dry run.
#[derive(Debug, Object, Serialize)]
pub(super) struct JobOutlook {
    /// How often each result occurs.
    counts: Vec<OutcomeCount>,
    /// The first hundred items that would not be refused.
    items: Vec<Outlook>,
}

impl From<Found> for Outlook {
    fn from(found: Found) -> Self {
        let Found { id, entity, outcome, text, user_id, controller_id, destroys } = found;
        Self { id, entity, outcome, text, user_id, controller_id, destroys }
    }
}

pub(super) fn found(kept: &Value) -> JobOutlook {
    let kept = Outlooks::deserialize(kept).unwrap_or_default();
    let counts = kept.counts.into_iter().map(|(outcome, count)| OutcomeCount { outcome, count });
    JobOutlook { counts: counts.collect(), items: kept.items.into_iter().map(Into::into).collect() }
}
