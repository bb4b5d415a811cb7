//! Endpoints besides the resources, without authentication: probes, metrics, documents, and pages about problems.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::durability::Suspended;
use engine::{Engine, FieldError};
use poem::endpoint::make_sync;
use poem::web::Path;
use poem::{Endpoint, IntoResponse, Response, endpoint, handler};
use serde_json::json;
use streams::tasks::Role;

use crate::problem::{Kind, Problem};
use crate::served::{Document, Shared};

/// Time after which the database counts as unavailable.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a text of the metrics is reused.
const FRESH: Duration = Duration::from_millis(100);

/// Liveness: the process runs.
pub(crate) fn health(version: &str) -> impl Endpoint + 'static {
    let body = json!({ "status": "ok", "version": version });
    make_sync(move |_| poem::web::Json(body.clone()))
}

/// Readiness: requests can be accepted and carried out; otherwise says what is missing.
pub(crate) fn ready(engine: Arc<Engine>) -> impl Endpoint + 'static {
    endpoint::make(move |_| {
        let engine = engine.clone();
        async move { Ok::<_, poem::Error>(readiness(&engine).await?) }
    })
}

async fn readiness(engine: &Engine) -> Result<Response, Problem> {
    let mut missing = Vec::new();
    let mut miss = |field: &str, rule: &str, hint: &str| {
        missing.push(FieldError { field: field.into(), rule: rule.into(), hint: hint.into() });
    };
    if !matches!(tokio::time::timeout(DATABASE_TIMEOUT, engine.database_answers()).await, Ok(true)) {
        miss("database", "does not answer", "check DATABASE_URL and the database itself");
    } else if let Err(why) = tokio::time::timeout(DATABASE_TIMEOUT, engine.durable()).await.unwrap_or(Err(slow())) {
        miss("database", &format!("does not keep changes: {why}"), "free space on its disk; it recovers by itself");
    }
    if !engine.courier_state().connected {
        miss("nats", "is not connected", "check NATS_URL and the NATS server itself");
    }
    for down in engine.tasks().down(Role::Essential) {
        let rule = format!("is being restarted: {}", down.error.unwrap_or_default());
        miss(&format!("tasks.{}", down.name), &rule, "it restarts by itself; if it does not, see /api/v1/admin/tasks");
    }
    if missing.is_empty() {
        let degraded: Vec<_> = engine.tasks().down(Role::Supporting).iter().map(|task| task.name).collect();
        let status = if degraded.is_empty() { "ready" } else { "degraded" };
        let body = json!({ "status": status, "database": "ok", "nats": "ok", "tasks_down": degraded });
        return Ok(poem::web::Json(body).into_response());
    }
    let names: Vec<&str> = missing.iter().map(|error| error.field.as_str()).collect();
    Err(Problem::new(Kind::Unavailable, format!("not ready: {}", names.join(", "))).naming(missing))
}

fn slow() -> Suspended {
    Suspended::Unknown(format!("it took longer than {} s", DATABASE_TIMEOUT.as_secs()).into())
}

/// Metrics of this process in the OpenMetrics text format; requests in quick succession share one text.
pub(crate) fn metrics(engine: Arc<Engine>) -> impl Endpoint + 'static {
    let last: Mutex<Option<(Instant, Bytes)>> = Mutex::default();
    make_sync(move |_| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, text)| text.clone());
        let text = fresh.unwrap_or_else(|| last.insert((Instant::now(), engine.metrics().into())).1.clone());
        let response = Response::builder().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.extension(Shared).body(text)
    })
}

/// The API document as a page; `page` was generated with `raw`, which is replaced by the real document.
pub(crate) fn docs(page: &str, raw: &str, document: &str) -> impl Endpoint + 'static {
    let page = page.replacen(raw, document, 1);
    Document::new("text/html; charset=utf-8", page)
}

/// All types of problems, one per line.
#[handler]
pub(crate) fn problem_index() -> Response {
    let line = |kind: Kind| format!("{} {} {}\n", kind.status().as_u16(), kind.path(), kind.title());
    let text: String = Kind::ALL.into_iter().map(line).collect();
    Response::builder().content_type("text/plain; charset=utf-8").body(text)
}

/// The page that explains a type of problem.
#[handler]
pub(crate) fn problem_page(Path(name): Path<String>) -> poem::Result<Response> {
    let kind = Kind::of_name(&name).ok_or_else(|| Problem::not_found("type of problem", &name))?;
    let text = format!("{} ({})\n\n{}\n", kind.title(), kind.status().as_u16(), kind.text());
    Ok(Response::builder().content_type("text/plain; charset=utf-8").body(text))
}
