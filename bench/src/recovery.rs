//! How soon work resumes after a `serve` with much in flight was killed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sea_orm::{ConnectionTrait, Statement};
use serde::Serialize;

use crate::load::{self, Goal};
use crate::process::Signal;
use crate::stack::{Backend, PATIENT, Stack};

/// Time limit until all sessions run.
const TIME_LIMIT: Duration = Duration::from_secs(900);
/// Connections that fill the outbox.
const CONNECTIONS: usize = 64;

/// The result.
#[derive(Debug, Serialize)]
pub struct Recovery {
    /// The database.
    pub database: Backend,
    /// Sessions that were accepted and not begun.
    pub in_flight: usize,
    /// Seconds from the start of the new `serve` until the first of them ran.
    pub first_seconds: f64,
    /// Seconds until the last of them ran.
    pub all_seconds: f64,
}

/// Accepts `in_flight` sessions while the controller is stopped, kills `serve`, resumes the controller, and
/// starts `serve` again.
///
/// # Errors
/// Not all sessions run in the end.
/// Where not all run in the end.
pub async fn run(stack: &mut Stack, database: Backend, in_flight: usize) -> Result<Recovery> {
    let controller = stack.controller("bench-1", "noop", &[(PATIENT.0, PATIENT.1.into())])?;
    stack.ready(1).await?;
    controller.signal(Signal::STOP)?;
    load::run(stack, Goal::Accepted, in_flight, CONNECTIONS).await?;
    stack.serve.kill().await?;
    let begun = Instant::now();
    stack.serve.again()?;
    controller.signal(Signal::CONT)?;
    let (mut first_seconds, mut running) = (None, 0);
    while running < in_flight {
        ensure!(begun.elapsed() < TIME_LIMIT, "{running} of {in_flight} run after {TIME_LIMIT:?}");
        let pause = if first_seconds.is_none() { 5 } else { 200 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        running = running_sessions(stack, first_seconds.is_none()).await?;
        if running > 0 {
            first_seconds.get_or_insert(begun.elapsed().as_secs_f64());
        }
    }
    let first_seconds = first_seconds.context("none ran")?;
    Ok(Recovery { database, in_flight, first_seconds, all_seconds: begun.elapsed().as_secs_f64() })
}

/// Number of running sessions; with `any`, stops counting at one.
async fn running_sessions(stack: &Stack, any: bool) -> Result<usize> {
    let limit = if any { " LIMIT 1" } else { "" };
    let sql = format!("SELECT count(*) AS n FROM (SELECT 1 FROM sessions WHERE status = 'running'{limit}) AS found");
    let db = &stack.database.reader;
    let row = db.query_one_raw(Statement::from_string(stack.database.backend, sql)).await?.context("a count")?;
    Ok(usize::try_from(row.try_get::<i64>("", "n")?)?)
}
