//! What would become of things, as a dry run found out.

use engine::writer::{Outlook as Found, Outlooks};
use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What would become of one thing.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Outlook {
    /// The session or the dead letter.
    id: Uuid,
    /// What it is about, as `session:<id>`.
    entity: Option<String>,
    /// A stable word: the verb of the command that would be issued, as `session.create`; `message` for one that would go back to its
    /// subject; `nothing` where it holds already or is under way; or a decision.
    outcome: String,
    /// The same in words: where it stands, and where it would stand.
    text: String,
    /// Whose it is.
    user_id: Option<String>,
    /// Who would carry it out.
    controller_id: Option<String>,
    /// What would be destroyed; null where nothing would.
    destroys: Option<String>,
}

/// How often one outcome was found.
#[derive(Debug, Object, Serialize)]
struct OutcomeCount {
    /// As in an outlook, or the type of problem that refuses it.
    outcome: String,
    /// How often.
    count: i64,
}

/// What a dry run found out.
#[derive(Debug, Object, Serialize)]
pub(super) struct JobOutlook {
    /// How often each outcome was found.
    counts: Vec<OutcomeCount>,
    /// The first hundred that would not be refused.
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
