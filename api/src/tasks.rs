//! The background loops of the engine that answers, for operators.

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
    /// In the order in which they were started.
    items: Vec<BackgroundTask>,
}

/// A background loop of the engine.
#[derive(Debug, Object, Serialize)]
struct BackgroundTask {
    /// Its name, unique in the process: `relay`, `projector`, ...
    name: String,
    /// Whether the engine is not ready without it; else it is only `degraded`.
    essential: bool,
    /// `running`, `restarting` (it panicked or ended, and is started again after a pause) or `stopped`.
    state: String,
    /// How often it was started again since this process began.
    restarts: i64,
    /// When its last round of work ended.
    last_run_at: Option<Timestamp>,
    /// How long that round took, in milliseconds.
    last_duration_ms: Option<i64>,
    /// The error of that round, or the cause of the last restart; at most 500 characters.
    error: Option<String>,
    /// When that error happened.
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
    /// The loops of the engine that answers this request, with their last run and their last error. One that panics is started
    /// again by itself; behind a load balancer each engine answers for its own.
    #[oai(path = "/admin/tasks", method = "get", operation_id = "list_tasks")]
    async fn list(&self, _caller: Caller) -> Result<Json<TaskList>, Refused<Listing>> {
        Ok(Json(TaskList { items: self.0.tasks().status().into_iter().map(Into::into).collect() }))
    }
}
