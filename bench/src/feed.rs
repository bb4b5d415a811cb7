//! The live feed with many watchers: the time from a row's transaction to its receipt by each watcher.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::stack::Stack;

/// Time limit for the last watcher to receive everything.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Settings of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Number of connections that read.
    pub watchers: usize,
    /// Number of sessions created; each causes several rows.
    pub sessions: usize,
    /// Sessions created per second.
    pub rate: f64,
}

/// The result of a run.
#[derive(Debug)]
pub struct Run {
    /// Rows that each watcher received.
    pub rows: usize,
    /// Milliseconds from the beginning of a row's transaction to its receipt, per row and watcher, sorted.
    pub latency_ms: Vec<f64>,
}

/// Watches, creates sessions, and checks that every watcher received everything.
///
/// # Errors
/// A watcher is refused, cut, or does not receive everything in time.
pub async fn run(stack: &Stack, plan: Plan) -> Result<Run> {
    let (marker, received, (done, ended)) = (stack.newest_event().await?, Arc::default(), watch::channel(false));
    let mut watching = JoinSet::new();
    for _ in 0..plan.watchers {
        let url = format!("{}/api/v1/stream", stack.http);
        let response = reqwest::Client::new().get(url).bearer_auth(&stack.token).send().await?;
        ensure!(response.status() == 200, "a watcher was answered {}", response.status());
        watching.spawn(receive(response, Arc::clone(&received), ended.clone()));
    }
    create(stack, plan).await?;
    let rows = received_by_all(stack, marker, plan.watchers, &received).await?;
    done.send(true)?;
    let mut latency_ms = Vec::with_capacity(rows * plan.watchers);
    while let Some(watcher) = watching.join_next().await {
        let latencies = watcher??;
        ensure!(latencies.len() == rows, "a watcher received {} of {rows} rows", latencies.len());
        latency_ms.extend(latencies);
    }
    latency_ms.sort_by(f64::total_cmp);
    Ok(Run { rows, latency_ms })
}

/// Creates sessions at a steady rate, and waits until all of them run.
async fn create(stack: &Stack, plan: Plan) -> Result<()> {
    let mut beat = tokio::time::interval(Duration::from_secs_f64(1.0 / plan.rate));
    let body = json!({ "template_id": "scratchpad", "platform": "noop", "user_id": "bench" });
    for _ in 0..plan.sessions {
        beat.tick().await;
        let (status, text) = stack.request(reqwest::Method::POST, "/sessions", Some(&body)).await?;
        ensure!(status == 202, "a create answered {status}: {text}");
    }
    until(async || Ok(count(stack, "sessions WHERE status <> 'running'").await? == 0)).await
}

/// Waits until every watcher has received every row; returns the number of rows.
async fn received_by_all(stack: &Stack, marker: i64, watchers: usize, received: &AtomicUsize) -> Result<usize> {
    let rows = count(stack, &format!("event_log WHERE id > {marker}")).await?;
    until(async || Ok(received.load(Ordering::Relaxed) >= rows * watchers)).await?;
    Ok(rows)
}

async fn until(so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !so().await? {
        ensure!(begun.elapsed() < TIME_LIMIT, "not everything was received after {TIME_LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn count(stack: &Stack, rows: &str) -> Result<usize> {
    let sql = format!("SELECT count(*) AS rows FROM {rows}");
    let db = &stack.database.reader;
    let row = db.query_one_raw(Statement::from_string(stack.database.backend, sql)).await?.context("a count")?;
    Ok(usize::try_from(row.try_get::<i64>("", "rows")?)?)
}

/// Reads one stream until the end of the run; returns the age of each row at its receipt.
async fn receive(
    mut response: reqwest::Response,
    received: Arc<AtomicUsize>,
    mut ended: watch::Receiver<bool>,
) -> Result<Vec<f64>> {
    let (mut text, mut latencies) = (String::new(), Vec::new());
    loop {
        let chunk = tokio::select! {
            chunk = response.chunk() => chunk?.context("a stream ended")?,
            _ = ended.changed() => return Ok(latencies),
        };
        let now = Utc::now();
        text += std::str::from_utf8(&chunk)?;
        let Some(whole) = text.rfind("\n\n") else { continue };
        for at in text[..whole].lines().filter_map(written_at) {
            latencies.push((now - at?).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e3);
            received.fetch_add(1, Ordering::Relaxed);
        }
        text.drain(..whole + 2);
    }
}

/// When the row of a line was written; parsing all of its JSON would measure this program.
fn written_at(line: &str) -> Option<Result<DateTime<Utc>>> {
    let item = line.strip_prefix("data: ")?;
    let at = item.split_once("\"at\":\"").and_then(|(_, rest)| rest.split_once('"')).context("a row without a time");
    Some(at.and_then(|(at, _)| Ok(DateTime::parse_from_rfc3339(at)?.to_utc())))
}
