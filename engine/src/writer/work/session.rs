//! What is done to a session: it is asked for, something is asked of it, its owner reports.

use machine::session::Observation;
use serde_json::Value;
use streams::wire::{Object, Resources};
use uuid::Uuid;

use crate::amendment::Amendment;
use crate::store::session;

/// A session as it was asked for, checked.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Identity, chosen by the accepting side so that a lost answer can be looked up.
    pub session_id: Uuid,
    /// Identity of its create command.
    pub event_id: Uuid,
    /// Who it is for.
    pub user_id: String,
    /// The template's name.
    pub template_id: String,
    /// Where it is to run.
    pub platform: String,
    /// What it may use, as it was asked; the template's defaults fill the gaps.
    pub resources: Resources,
    /// Labels that its controller must have.
    pub selector: Object,
    /// Whether the home is the user's and outlives the session.
    pub persistent_home: bool,
    /// Seconds.
    pub idle_timeout_s: Option<i64>,
    /// Seconds.
    pub max_duration_s: Option<i64>,
    /// For filters.
    pub tags: Vec<String>,
    /// What the caller attached.
    pub metadata: Object,
}

/// What people ask of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Sleep.
    Hibernate,
    /// Awake.
    Wake,
    /// Be gone.
    Delete {
        /// Do not wait for a dead owner.
        force: bool,
    },
    /// It is being used.
    Activity,
    /// Later stops, by so many seconds.
    Extend {
        /// How much later.
        by_s: i64,
    },
    /// Its dead letter is replayed.
    Again,
    /// Its owner was revoked: elsewhere.
    Move,
}

/// Something asked of a session.
#[derive(Debug, Clone)]
pub struct AskSession {
    /// The session.
    pub session: Uuid,
    /// Where the caller believes it to stand.
    pub stands: Option<Stands>,
    /// The request.
    pub ask: Ask,
}

/// A change of what is attached to a session.
#[derive(Debug, Clone)]
pub struct Amend {
    /// The session.
    pub session: Uuid,
    /// Where the caller believes it to stand.
    pub stands: Option<Stands>,
    /// The change, checked.
    pub change: Amendment,
}

/// A report that came in.
#[derive(Debug, Clone)]
pub struct ReportIn {
    /// Its identity.
    pub event_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// The subject that it came on.
    pub subject: String,
    /// As it came.
    pub payload: Value,
    /// What it says.
    pub observation: Observation,
    /// Soft: what the session uses.
    pub resource_usage: Option<Value>,
}

/// Where a session is believed to stand, by whoever asks on that condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// Anywhere, as long as it exists.
    Anywhere,
    /// At one of these: a generation, and the revision that was read, where it matters.
    At(Vec<(i64, Option<i64>)>),
}

impl Stands {
    /// Whether it does. What its owner reported since is no hindrance; what somebody asked for or amended since is.
    #[must_use]
    pub fn holds(&self, row: &session::Model) -> bool {
        let Self::At(places) = self else { return true };
        places.iter().any(|(generation, revision)| {
            let seen = revision.is_none_or(|revision| (row.amended_seq..=row.entity_seq).contains(&revision));
            *generation == row.generation && seen
        })
    }
}
