//! The same requests on a young and on an old database, and the cost of idle sessions.
//!
//! `fill` writes rows as years of use would leave them, bypassing the engine. `probe` sends requests, `idle` waits.

mod fill;
mod idle;
mod probe;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::load::{self, Goal};
use crate::stack::{Backend, Stack};

pub use fill::Age;
pub use idle::{Idle, idle};
pub use probe::Probed;

/// Results for both ages on one kind of database.
#[derive(Debug, Serialize)]
pub struct Aged {
    database: Backend,
    young: Age,
    old: Age,
    filled_in_seconds: f64,
    requests: Vec<Compared>,
}

/// One kind of request on both.
#[derive(Debug, Serialize)]
struct Compared {
    request: &'static str,
    young: Probed,
    old: Probed,
    /// Ratio of the medians.
    ratio_p50: f64,
    ratio_p99: f64,
}

/// Measures on two databases of one kind, the second of which is old.
///
/// # Errors
/// A process does not start, or a request is refused.
pub async fn run(binary: &Path, backend: Backend, young: Age, old: Age, requests: usize) -> Result<Aged> {
    let (before, _) = measured(binary, backend, young, requests).await.context("the young database")?;
    let (after, filled_in_seconds) = measured(binary, backend, old, requests).await.context("the old database")?;
    let compared = before.into_iter().zip(after).map(|((request, young), (_, old))| {
        let (ratio_p50, ratio_p99) = (old.p50_ms / young.p50_ms, old.p99_ms / young.p99_ms);
        Compared { request, young, old, ratio_p50, ratio_p99 }
    });
    Ok(Aged { database: backend, young, old, filled_in_seconds, requests: compared.collect() })
}

async fn measured(
    binary: &Path,
    backend: Backend,
    age: Age,
    requests: usize,
) -> Result<(Vec<(&'static str, Probed)>, f64)> {
    let database = backend.database().await?;
    let begun = Instant::now();
    fill::fill(&database.url, age).await?;
    let filled = begun.elapsed().as_secs_f64();
    let stack = Stack::on(database, binary, &[]).await?;
    let _controller = stack.controller("bench-1", "noop", &[])?;
    stack.ready(1).await?;
    load::run(&stack, Goal::Running, 200, 1).await.context("warming up")?;
    let mut figures = Vec::new();
    for (name, goal) in [("create (accept)", Goal::Accepted), ("create to running", Goal::Running)] {
        figures.push((name, Probed::of(&load::run(&stack, goal, requests, 1).await?.answer_ms)));
    }
    figures.extend(probe::all(&stack, age, requests).await?);
    Ok((figures, filled))
}

/// Prints the table.
#[allow(clippy::print_stdout)] // the figures are this program's output
pub fn print(aged: &Aged) {
    let (young, old) = (aged.young, aged.old);
    println!(
        "{:?}: {} sessions and {} rows of log, then {} and {} (filled in {:.0} s)",
        aged.database, young.sessions, young.events, old.sessions, old.events, aged.filled_in_seconds
    );
    for one in &aged.requests {
        println!(
            "  {:<34} p50 {:>7.2} -> {:>7.2} ms ({:>5.2}x)   p99 {:>7.2} -> {:>7.2} ms ({:>5.2}x)",
            one.request,
            one.young.p50_ms,
            one.old.p50_ms,
            one.ratio_p50,
            one.young.p99_ms,
            one.old.p99_ms,
            one.ratio_p99
        );
    }
}
