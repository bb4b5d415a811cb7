//! A job as it is asked for.

use sea_orm::PaginatorTrait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Engine;
use crate::queries::{self, LetterFilter, SessionFilter, sessions};
use crate::store::canary::Canary;
use crate::store::job;
use crate::verify::{self, Scan};
use crate::writer::{self, JobWrite};

/// What a job does to each of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sessions sleep.
    Hibernate,
    /// Sessions are woken.
    Wake,
    /// Sessions go.
    Delete,
    /// Dead letters are replayed.
    Replay,
    /// Dead letters are closed for good.
    Discard,
    /// Sessions leave an owner that was revoked.
    Move,
    /// The log is compared with the tables.
    Verify,
}

/// What a job goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// These sessions.
    Sessions(SessionFilter),
    /// These dead letters.
    Letters(LetterFilter),
    /// The log.
    Log(LogScan),
}

/// What a scan of the log is to do with what it finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogScan {
    /// Rows that differ are set to what the log says.
    pub repair: bool,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Hibernate, Self::Wake, Self::Delete, Self::Replay, Self::Discard, Self::Move, Self::Verify];

    /// The spelling in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hibernate => "sessions.hibernate",
            Self::Wake => "sessions.wake",
            Self::Delete => "sessions.delete",
            Self::Replay => "dead_letters.replay",
            Self::Discard => "dead_letters.discard",
            Self::Move => "sessions.move",
            Self::Verify => "log.verify",
        }
    }

    /// The kind of a spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it starts what takes room; what stops and deletes is always taken.
    pub(super) const fn starts(self) -> bool {
        matches!(self, Self::Wake | Self::Replay)
    }

    /// What a kept filter of a job of this kind means.
    pub(super) fn what(self, filter: Value) -> Result<What, serde_json::Error> {
        Ok(match self {
            Self::Replay | Self::Discard => What::Letters(serde_json::from_value(filter)?),
            Self::Verify => What::Log(serde_json::from_value(filter)?),
            Self::Hibernate | Self::Wake | Self::Delete | Self::Move => What::Sessions(serde_json::from_value(filter)?),
        })
    }
}

/// How carefully a job goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// So many items go first, and the others only where all of these end well.
    pub canary: Option<u32>,
    /// So many items a second at most.
    pub rate: Option<u32>,
}

/// A job to be created.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What is to be done.
    pub kind: Kind,
    /// To what; of the sort that the kind is for.
    pub what: What,
    /// For deletes: do not wait for dead owners.
    pub force: bool,
    /// Change nothing, and find out what would be done.
    pub dry_run: bool,
    /// How carefully; for replays.
    pub pace: Pace,
    /// Why; for discards, whose letters keep it.
    pub reason: Option<String>,
    /// Who asks.
    pub created_by: String,
}

impl Engine {
    /// Creates a job; answers once it is durable, and it walks by itself from then on.
    ///
    /// # Errors
    /// Why it was not written.
    pub async fn create_job(&self, new: NewJob) -> Result<job::Model, writer::Error> {
        let total = self.count(&new.what).await?;
        let row = first_row(new, total);
        self.parts.writer.submit(JobWrite::Create(Box::new(row))).await
    }

    /// Ends a job where it stands; what was done stays done.
    ///
    /// # Errors
    /// [`writer::Error::Conflict`] where it has ended already, or why it was not written.
    pub async fn cancel_job(&self, id: Uuid, by: String) -> Result<job::Model, writer::Error> {
        self.parts.writer.submit(JobWrite::Cancel { id, by }).await
    }

    /// Lets a job that halted go on behind what was done, with a canary of the next items.
    ///
    /// # Errors
    /// [`writer::Error::Conflict`] where it is not halted, or why it was not written.
    pub async fn resume_job(&self, id: Uuid, by: String) -> Result<job::Model, writer::Error> {
        self.parts.writer.submit(JobWrite::Resume { id, by }).await
    }

    pub(crate) async fn count(&self, what: &What) -> Result<i64, sea_orm::DbErr> {
        let db = self.reader();
        match what {
            What::Sessions(filter) => sessions::count(db, filter).await,
            What::Letters(filter) => Ok(i64::try_from(queries::letters(filter).count(db).await?).unwrap_or(i64::MAX)),
            What::Log(_) => verify::about(db).await,
        }
    }
}

pub(crate) fn first_row(new: NewJob, total: i64) -> job::Model {
    let filter = match &new.what {
        What::Sessions(filter) => json!(filter),
        What::Letters(filter) => json!(filter),
        What::Log(scan) => json!(scan),
    };
    let scan = matches!(new.what, What::Log(_)).then(|| json!(Scan::new()));
    job::Model {
        job_id: Uuid::now_v7(),
        kind: new.kind.as_str().into(),
        status: "running".into(),
        filter: without_nulls(filter),
        force: new.force,
        dry_run: new.dry_run,
        created_by: new.created_by,
        total,
        done: 0,
        failed: 0,
        skipped: 0,
        failures: json!([]),
        outlook: json!({}),
        canary: new.pace.canary.map(|size| json!(Canary::of(size.max(1).into()))),
        rate: new.pace.rate.map(i64::from),
        not_before_ms: None,
        reason: new.reason,
        cursor_ms: None,
        cursor_id: None,
        claimed_by: None,
        claimed_until_ms: None,
        entity_seq: 0,
        created_ms: 0,
        updated_ms: 0,
        finished_ms: None,
        scan,
    }
}

fn without_nulls(mut filter: Value) -> Value {
    if let Some(fields) = filter.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    filter
}
