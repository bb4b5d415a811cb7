//! Jobs: actions on many items, their requests and their progress.

mod canary;
mod dry_run;
mod request;
mod scan;

use std::sync::Arc;

use engine::Engine;
use engine::store::job;
use engine::use_cases::{Position, UseCases};
use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::Body;
use crate::cursor::{Limit, LivePage, Window};
use crate::document::Tag;
use crate::json::Json;
use crate::problem::{Change, Creation, Listing, Lookup, Refused};
use crate::routes::PREFIX;
use crate::timestamp::Timestamp;
use canary::JobCanary;
use dry_run::JobOutlook;
use request::{DiscardMany, ReplayMany, SessionsBulk};
use scan::{LogReport, VerifyLog};
use serde::Serialize;

pub(crate) use dry_run::Outlook;

/// An action on many items, with its progress.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Job {
    /// Identity.
    job_id: Uuid,
    /// The action: `sessions.hibernate`, `sessions.wake`, `sessions.delete`, `sessions.move`,
    /// `dead_letters.replay` or `dead_letters.discard`; `log.verify` compares the log with the tables.
    kind: String,
    /// `running`, `halted` (its canary failed; waits to be resumed or cancelled), `completed` or `cancelled`.
    status: String,
    /// Filter for the items, among those that existed when it was created.
    filter: Value,
    /// Whether it deletes without waiting for unreachable controllers.
    force: bool,
    /// Whether it changes nothing and only shows what it would do.
    dry_run: bool,
    /// Number of items, counted at its creation and corrected at its end. For `log.verify`: rows of the log.
    total: i64,
    /// Items that were accepted, each as if requested individually.
    done: i64,
    /// Items that were refused. For `log.verify`: entities that differ from their logs.
    failed: i64,
    /// Items that were already in, or on their way to, the requested state.
    skipped: i64,
    /// Why items were refused: the first hundred.
    failures: Vec<JobFailure>,
    /// Expected results; only for dry runs.
    outlook: Option<JobOutlook>,
    /// The items that are processed first, if there is a canary.
    canary: Option<JobCanary>,
    /// Maximum items per second.
    rate: Option<i64>,
    /// Why it halted; for a discard, why the letters are closed.
    reason: Option<String>,
    /// Findings of a `log.verify` so far.
    scan: Option<LogReport>,
    /// Who created it.
    created_by: String,
    /// When it was accepted.
    created_at: Timestamp,
    /// Time of its last progress.
    updated_at: Timestamp,
    /// When it ended.
    finished_at: Option<Timestamp>,
}

/// Why an item was refused.
#[derive(Debug, Object, Serialize)]
struct JobFailure {
    /// The item.
    id: String,
    /// The type of problem, such as `illegal-transition`; see `/problems/{type}`.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    kind: String,
    /// Details.
    detail: String,
}

impl From<job::Model> for Job {
    fn from(row: job::Model) -> Self {
        let canary = row.canary().map(Into::into);
        let scan = row.scan();
        let items = if scan.is_some() { row.done } else { row.done + row.failed + row.skipped };
        Self {
            job_id: row.job_id,
            kind: row.kind,
            status: row.status,
            filter: request::shown(row.filter),
            force: row.force,
            dry_run: row.dry_run,
            total: row.total.max(items),
            done: row.done,
            failed: row.failed,
            skipped: row.skipped,
            failures: row.failures.as_array().into_iter().flatten().map(failure).collect(),
            outlook: row.dry_run.then(|| dry_run::found(&row.outlook)),
            canary,
            rate: row.rate,
            reason: row.reason,
            scan: scan.map(Into::into),
            created_by: row.created_by,
            created_at: Timestamp::from_ms(row.created_ms),
            updated_at: Timestamp::from_ms(row.updated_ms),
            finished_at: row.finished_ms.map(Timestamp::from_ms),
        }
    }
}

fn failure(value: &Value) -> JobFailure {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    JobFailure { id: text("id"), kind: text("type"), detail: text("detail") }
}

/// State to filter by.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "JobStatus", rename_all = "lowercase")]
enum Status {
    Running,
    Halted,
    Completed,
    Cancelled,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Halted => job::HALTED,
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Kind to filter by.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "JobKind")]
enum Kind {
    #[oai(rename = "sessions.hibernate")]
    Hibernate,
    #[oai(rename = "sessions.wake")]
    Wake,
    #[oai(rename = "sessions.delete")]
    Delete,
    #[oai(rename = "dead_letters.replay")]
    Replay,
    #[oai(rename = "dead_letters.discard")]
    Discard,
    #[oai(rename = "sessions.move")]
    Move,
    #[oai(rename = "log.verify")]
    Verify,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Hibernate => engine::jobs::Kind::Hibernate.as_str(),
            Self::Wake => engine::jobs::Kind::Wake.as_str(),
            Self::Delete => engine::jobs::Kind::Delete.as_str(),
            Self::Replay => engine::jobs::Kind::Replay.as_str(),
            Self::Discard => engine::jobs::Kind::Discard.as_str(),
            Self::Move => engine::jobs::Kind::Move.as_str(),
            Self::Verify => engine::jobs::Kind::Verify.as_str(),
        }
    }
}

/// An accepted job.
#[derive(ApiResponse)]
pub(crate) enum Accepted {
    /// The job is durable and runs on the server.
    #[oai(status = 202)]
    Job(
        Json<Job>,
        /// Path of the job.
        #[oai(header = "Location")]
        String,
    ),
}

impl Accepted {
    pub(crate) fn of(row: job::Model) -> Self {
        let location = format!("{PREFIX}/jobs/{}", row.job_id);
        Self::Job(Json(row.into()), location)
    }
}

pub(crate) struct Jobs(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Jobs")]
impl Jobs {
    /// Apply an action to many sessions
    ///
    /// Processes all sessions that match the filter now, oldest first, each as if requested individually.
    /// Without `status`, all but deleted ones. With `dry_run` it changes nothing, and `outlook` shows what
    /// would become of them.
    #[oai(path = "/sessions/bulk", method = "post", operation_id = "bulk_sessions")]
    async fn sessions(&self, caller: Caller, body: Body<SessionsBulk>) -> Result<Accepted, Refused<Creation>> {
        create(&caller.on(&self.0), body.read(|order| order.into_job(caller.0.name))?).await
    }

    /// Replay many dead letters
    ///
    /// Processes all letters that match the filter now, oldest first, each as if replayed individually. Without
    /// `status`, the open ones. Superseded ones stay open and are listed among the failures. With `dry_run` it
    /// changes nothing, and `outlook` shows what would become of the sessions and applications that they are
    /// about.
    ///
    /// With `canary`, that many letters go first, and the job waits until each has ended: if one fails again,
    /// it halts. With `rate`, it replays at most that many per second. A dry run ignores both.
    #[oai(path = "/admin/dlq/replay", method = "post", operation_id = "bulk_dead_letters")]
    async fn replay(&self, caller: Caller, body: Body<ReplayMany>) -> Result<Accepted, Refused<Creation>> {
        create(&caller.on(&self.0), body.read(|order| order.into_job(caller.0.name))?).await
    }

    /// Discard many dead letters
    ///
    /// Processes all letters that match the filter now, oldest first, each as if discarded individually.
    /// Without `status`, the open ones. They stay as records, with the reason and who discarded them. With
    /// `dry_run` it changes nothing.
    #[oai(path = "/admin/dlq/discard", method = "post", operation_id = "close_dead_letters")]
    async fn discard(&self, caller: Caller, body: Body<DiscardMany>) -> Result<Accepted, Refused<Creation>> {
        create(&caller.on(&self.0), body.read(|order| order.into_job(caller.0.name))?).await
    }

    /// Compare the log with the tables
    ///
    /// Folds the whole log, and reports rows that differ from the result; it rests between pages, so that it
    /// may run daily. With `repair`, rows that differ are set to what the log says, and the log keeps their
    /// previous values; gaps, and logs or rows without the other, are only reported.
    #[oai(path = "/admin/verify", method = "post", operation_id = "verify_log")]
    async fn verify(&self, caller: Caller, body: Body<VerifyLog>) -> Result<Accepted, Refused<Creation>> {
        create(&caller.on(&self.0), body.read(|order| Ok(order.into_job(caller.0.name)))?).await
    }

    /// List jobs
    ///
    /// Newest first.
    #[oai(path = "/jobs", method = "get", operation_id = "list_jobs")]
    async fn list(
        &self,
        caller: Caller,
        /// Filter by state.
        status: Query<Option<Status>>,
        /// Filter by kind.
        kind: Query<Option<Kind>>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` or `prev_cursor` of another page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<LivePage<Job>>, Refused<Listing>> {
        let (status, kind) = (status.map(Status::name), kind.map(Kind::name));
        let (narrowed, cursor) = ((status, kind), cursor.as_deref());
        let acting = caller.on(&self.0);
        let window = Window::<Position>::open(&acting, "jobs", &narrowed, limit.0, cursor).await?;
        let rows = acting.list_jobs(status, kind, window.seek(), window.fetch()).await?;
        Ok(Json(window.page(rows, |row| (row.created_ms, row.job_id), Into::into)))
    }

    /// Read a job
    #[oai(path = "/jobs/:id", method = "get", operation_id = "get_job")]
    async fn get(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<Job>, Refused<Lookup>> {
        Ok(Json(caller.on(&self.0).job(id.0).await?.into()))
    }

    /// Cancel a job
    ///
    /// It stops before its next step; completed items stay as they are.
    #[oai(path = "/jobs/:id/cancel", method = "post", operation_id = "cancel_job")]
    async fn cancel(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<Job>, Refused<Change>> {
        let row = caller.on(&self.0).cancel_job(id.0).await?;
        Ok(Json(row.into()))
    }

    /// Resume a job
    ///
    /// A halted job continues after the completed items, with a canary of the next ones.
    #[oai(path = "/jobs/:id/resume", method = "post", operation_id = "resume_job")]
    async fn resume(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<Job>, Refused<Change>> {
        let row = caller.on(&self.0).resume_job(id.0).await?;
        Ok(Json(row.into()))
    }
}

async fn create(acting: &UseCases<'_>, new: engine::jobs::NewJob) -> Result<Accepted, Refused<Creation>> {
    Ok(Accepted::of(acting.create_job(new).await?))
}
