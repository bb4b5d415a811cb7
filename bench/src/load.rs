//! The load: a fixed number of connections, each creating one session after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;

use crate::stack::Stack;

/// What one run gave.
#[derive(Debug)]
pub struct Run {
    /// Seconds until the last session was accepted.
    pub accept_seconds: f64,
    /// Seconds until the last session ran.
    pub running_seconds: f64,
    /// Milliseconds of each accept, sorted.
    pub accept_ms: Vec<f64>,
    /// Milliseconds from acceptance to `running` of each session, by the log, sorted.
    pub running_ms: Vec<f64>,
}

/// How long all sessions may take to run.
const PATIENCE: Duration = Duration::from_secs(120);

/// Creates `sessions` over `connections`, and waits until all run.
///
/// # Errors
/// Where a create is refused, or not all run in time.
pub async fn run(stack: &Stack, sessions: usize, connections: usize) -> Result<Run> {
    let before = completed(stack).await?;
    let marker = stack.newest_event().await?;
    let begun = Instant::now();
    let left = Arc::new(AtomicUsize::new(sessions));
    let workers =
        (0..connections).map(|_| tokio::spawn(create_all(stack.http.clone(), stack.token.clone(), left.clone())));
    let mut accept_ms = Vec::with_capacity(sessions);
    for worker in workers.collect::<Vec<_>>() {
        accept_ms.extend(worker.await??);
    }
    let accept_seconds = begun.elapsed().as_secs_f64();
    while completed(stack).await? - before < sessions as f64 {
        ensure!(begun.elapsed() < PATIENCE, "not all sessions run after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let running_seconds = begun.elapsed().as_secs_f64();
    accept_ms.sort_by(f64::total_cmp);
    Ok(Run { accept_seconds, running_seconds, accept_ms, running_ms: latencies(stack, marker).await? })
}

async fn create_all(http: String, token: String, left: Arc<AtomicUsize>) -> Result<Vec<f64>> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(1).build()?;
    let body = json!({ "template_id": "scratchpad", "platform": "noop", "user_id": "bench" });
    let mut took = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        let begun = Instant::now();
        let answer = client.post(format!("{http}/api/v1/sessions")).bearer_auth(&token).json(&body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if status != 202 {
            bail!("a create answered {status}: {text}");
        }
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

/// Commands that ended, as `/metrics` counts them.
async fn completed(stack: &Stack) -> Result<f64> {
    let text = reqwest::get(format!("{}/metrics", stack.http)).await?.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix("streamspace_event_latency_seconds_count "));
    line.context("no latency in /metrics")?.trim().parse().context("a count")
}

async fn latencies(stack: &Stack, after: i64) -> Result<Vec<f64>> {
    let sql = format!(
        "SELECT processed_ms - created_ms AS ms FROM event_log WHERE kind = 'command' AND id > {after} ORDER BY ms"
    );
    let db = &stack.database.reader;
    let rows = db.query_all_raw(Statement::from_string(stack.database.backend, sql)).await?;
    rows.iter().map(|row| Ok(row.try_get::<i64>("", "ms")? as f64)).collect()
}
