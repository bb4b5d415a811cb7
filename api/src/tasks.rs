//! The background loops of the answering engine, for operators.

use std::sync::Arc;

use engine::Engine;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use streams::tasks::{Role, Status};

use crate::auth::Caller;
use crate::document::Tag;
use crate::json::Json;
use crate::problem::{Listing, Refused};
use crate::timestamp::Timestamp;

/// The background loops of one engine.
#[derive(Debug, Object, Serialize)]
struct TaskList {
    /// In the order of their start.
    items: Vec<BackgroundTask>,
}

/// A background loop of the engine.
#[derive(Debug, Object, Serialize)]
struct BackgroundTask {
    /// Its name, unique in the process: `relay`, `projector`, ...
    name: String,
    /// Whether the engine is not ready without it; otherwise it is only `degraded`.
    essential: bool,
    /// `running`, `restarting` (it panicked or ended, and is restarted after a pause) or `stopped`.
    state: String,
    /// Number of restarts since the start of the process.
    restarts: i64,
    /// End of its last round of work.
    last_run_at: Option<Timestamp>,
    /// Duration of that round, in milliseconds.
    last_duration_ms: Option<i64>,
    /// Error of that round, or the cause of the last restart; at most 500 characters.
    error: Option<String>,
    /// Time of that error.
    error_at: Option<Timestamp>,
}

impl From<Status> for BackgroundTask {
    fn from(task: Status) -> Self {
        let ms = |took: std::time::Duration| i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        Self {
            name: task.name.to_owned(),
            essential: task.role == Role::Essential,
            state: task.state.as_str().to_owned(),
            restarts: i64::try_from(task.restarts).unwrap_or(i64::MAX),
            last_run_at: task.last_run_at.map(Timestamp::from),
            last_duration_ms: task.last_duration.map(ms),
            error: task.error,
            error_at: task.error_at.map(Timestamp::from),
        }
    }
}

pub(crate) struct TasksApi(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl TasksApi {
    /// List background tasks
    ///
    /// The loops of the engine that answers this request, with their last run and their last error. One that
    /// panics is restarted automatically; behind a load balancer each engine answers for itself.
    #[oai(path = "/admin/tasks", method = "get", operation_id = "list_tasks")]
    async fn list(&self, caller: Caller) -> Result<Json<TaskList>, Refused<Listing>> {
        Ok(Json(TaskList { items: caller.on(&self.0).tasks()?.into_iter().map(Into::into).collect() }))
    }
}
