//! Idle sessions: the resources that `serve` uses while nothing happens.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::load::{self, Goal};
use crate::stack::{Backend, Stack};

/// Time between the last start and the measurement, so that follow-up work is finished.
const SETTLE: Duration = Duration::from_secs(10);

/// The cost of idle sessions.
#[derive(Debug, Serialize)]
pub struct Idle {
    database: Backend,
    sessions: usize,
    seconds: u64,
    /// Processor seconds of `serve` without sessions.
    empty_cpu_seconds: f64,
    /// Processor seconds of `serve` with sessions, all running.
    cpu_seconds: f64,
    controller_cpu_seconds: f64,
    empty_memory_mb: f64,
    /// Memory right after the sessions were created at full speed.
    loaded_memory_mb: f64,
    idle_memory_mb: f64,
}

/// Measures `serve` for so many seconds without sessions, and again with running, unused sessions.
///
/// # Errors
/// A process does not start, or a create is refused.
pub async fn idle(binary: &Path, backend: Backend, sessions: usize, seconds: u64) -> Result<Idle> {
    let stack = Stack::start(binary, backend, &[]).await?;
    let controller = stack.controller("bench-1", "noop", &[])?;
    stack.ready(1).await?;
    let time = Duration::from_secs(seconds);
    tokio::time::sleep(SETTLE).await;
    let (before, empty_memory_mb) = (stack.serve.cpu_seconds()?, stack.serve.memory_mb()?);
    tokio::time::sleep(time).await;
    let empty_cpu_seconds = stack.serve.cpu_seconds()? - before;
    load::run(&stack, Goal::Running, sessions, 32).await.context("the sessions that are to be idle")?;
    let loaded_memory_mb = stack.serve.memory_mb()?;
    tokio::time::sleep(SETTLE).await;
    let before = (stack.serve.cpu_seconds()?, controller.cpu_seconds()?);
    tokio::time::sleep(time).await;
    Ok(Idle {
        database: backend,
        sessions,
        seconds,
        empty_cpu_seconds,
        cpu_seconds: stack.serve.cpu_seconds()? - before.0,
        controller_cpu_seconds: controller.cpu_seconds()? - before.1,
        empty_memory_mb,
        loaded_memory_mb,
        idle_memory_mb: stack.serve.memory_mb()?,
    })
}

impl Idle {
    /// Prints the result.
    #[allow(clippy::print_stdout)] // the figures are this program's output
    pub fn print(&self) {
        println!(
            "{:?}: {} idle sessions, {} s: serve {:.2} s of cpu ({:.2} s without sessions), controller {:.2} s; \
             {:.0} MB empty, {:.0} MB loaded, {:.0} MB idle",
            self.database,
            self.sessions,
            self.seconds,
            self.cpu_seconds,
            self.empty_cpu_seconds,
            self.controller_cpu_seconds,
            self.empty_memory_mb,
            self.loaded_memory_mb,
            self.idle_memory_mb,
        );
    }
}
