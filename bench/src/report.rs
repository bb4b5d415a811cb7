//! Output of the figures: a line each on the terminal, and a JSON file for later comparison.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::feed;
use crate::load::{Goal, Run};
use crate::recovery::Recovery;
use crate::stack::Backend;

/// Resources that a run used.
#[derive(Debug)]
pub struct Used {
    /// Resident memory of `serve` afterwards.
    pub memory_mb: f64,
    /// Processor time of `serve`.
    pub serve_cpu_seconds: f64,
    /// Processor time of the controller.
    pub controller_cpu_seconds: f64,
}

/// A row of the table.
#[derive(Debug, Serialize)]
pub struct Figure {
    database: Backend,
    durability: &'static str,
    goal: Goal,
    connections: usize,
    sessions: usize,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    idle_memory_mb: f64,
    memory_mb: f64,
    serve_cpu_ms_per_session: f64,
    controller_cpu_ms_per_session: f64,
}

impl Figure {
    /// The figures of a run.
    #[must_use]
    pub fn of(database: Backend, goal: Goal, connections: usize, run: &Run, used: &Used, idle_memory_mb: f64) -> Self {
        let sessions = run.answer_ms.len();
        Self {
            database,
            durability: database.durability(),
            goal,
            connections,
            sessions,
            per_second: sessions as f64 / run.seconds,
            p50_ms: percentile(&run.answer_ms, 0.50),
            p99_ms: percentile(&run.answer_ms, 0.99),
            idle_memory_mb,
            memory_mb: used.memory_mb,
            serve_cpu_ms_per_session: used.serve_cpu_seconds * 1e3 / sessions as f64,
            controller_cpu_ms_per_session: used.controller_cpu_seconds * 1e3 / sessions as f64,
        }
    }
}

/// A row of the table for the feed.
#[derive(Debug, Serialize)]
pub struct FeedFigure {
    database: Backend,
    watchers: usize,
    rows: usize,
    sessions_per_second: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    latency_max_ms: f64,
    memory_mb: f64,
    serve_cpu_us_per_row_and_watcher: f64,
}

impl FeedFigure {
    /// The figures of a run.
    #[must_use]
    pub fn of(database: Backend, plan: feed::Plan, run: &feed::Run, used: &Used) -> Self {
        let received = run.latency_ms.len() as f64;
        Self {
            database,
            watchers: plan.watchers,
            rows: run.rows,
            sessions_per_second: plan.rate,
            latency_p50_ms: percentile(&run.latency_ms, 0.50),
            latency_p99_ms: percentile(&run.latency_ms, 0.99),
            latency_max_ms: percentile(&run.latency_ms, 1.0),
            memory_mb: used.memory_mb,
            serve_cpu_us_per_row_and_watcher: used.serve_cpu_seconds * 1e6 / received,
        }
    }
}

/// Prints a row of the feed.
#[allow(clippy::print_stdout)] // the figures are this program's output
pub fn feed_line(f: &FeedFigure) {
    println!(
        "{:<8} {:>5} watchers, {} rows at {}/s | p50 {:.1} ms p99 {:.1} ms max {:.1} ms | {:.0} MB, {:.1} us of cpu for each row and watcher",
        format!("{:?}", f.database).to_lowercase(),
        f.watchers,
        f.rows,
        f.sessions_per_second,
        f.latency_p50_ms,
        f.latency_p99_ms,
        f.latency_max_ms,
        f.memory_mb,
        f.serve_cpu_us_per_row_and_watcher,
    );
}

pub(crate) fn percentile(sorted: &[f64], part: f64) -> f64 {
    let index = ((sorted.len() as f64 - 1.0) * part).round().max(0.0) as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Prints a row.
#[allow(clippy::print_stdout)] // the figures are this program's output
pub fn line(f: &Figure) {
    println!(
        "{:<8} {:<22} {:>3} x {:<8} | {:>7.0}/s p50 {:>6.1} ms p99 {:>6.1} ms | {:>3.0} MB idle, {:>3.0} MB loaded | cpu/session {:.3} + {:.3} ms",
        format!("{:?}", f.database).to_lowercase(),
        f.durability,
        f.connections,
        format!("{:?}", f.goal).to_lowercase(),
        f.per_second,
        f.p50_ms,
        f.p99_ms,
        f.idle_memory_mb,
        f.memory_mb,
        f.serve_cpu_ms_per_session,
        f.controller_cpu_ms_per_session,
    );
}

/// Prints the result of a recovery.
#[allow(clippy::print_stdout)] // the figures are this program's output
pub fn recovery_line(f: &Recovery) {
    println!(
        "{:<8} {:>6} in flight, serve killed | first session runs {:.2} s after its start, all after {:.1} s ({:.0}/s)",
        format!("{:?}", f.database).to_lowercase(),
        f.in_flight,
        f.first_seconds,
        f.all_seconds,
        f.in_flight as f64 / f.all_seconds,
    );
}

/// Writes the figures as JSON.
///
/// # Errors
/// They cannot be written.
#[allow(clippy::print_stdout)] // says where the figures are
pub fn keep(folder: &Path, figures: &[impl Serialize]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
    let file = folder.join(format!("{}.json", chrono::Utc::now().format("%Y%m%dT%H%M%SZ")));
    std::fs::write(&file, serde_json::to_string_pretty(figures)?)?;
    println!("kept in {}", file.display());
    Ok(())
}
