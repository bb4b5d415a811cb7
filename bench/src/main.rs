//! The load generator: real processes, a release build, load from outside over HTTP.
//!
//! For each database and each number of connections it creates sessions as fast as the API accepts them, waits until all of
//! them run, and reads the latencies from the log. See README.md for what each figure means.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use bench::feed;
use bench::load;
use bench::report::{self, Figure, Used};
use bench::stack::{Backend, Stack};

/// Measures accepts/s and accepted-to-running/s.
#[derive(Debug, Parser)]
struct Arguments {
    /// The release binary that is measured.
    #[arg(long, default_value = "target/release/streamspace")]
    binary: PathBuf,
    /// Databases to measure on.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    databases: Vec<Backend>,
    /// Connections that load is sent over.
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    connections: Vec<usize>,
    /// Sessions for each run with one connection; runs with more take ten times as many.
    #[arg(long, default_value_t = 2_000)]
    sessions: usize,
    /// Measure the live feed instead, with so many watchers.
    #[arg(long, value_name = "COUNT")]
    feed_watchers: Option<usize>,
    /// Sessions a second while the feed is measured, for ten seconds.
    #[arg(long, default_value_t = 5.0)]
    feed_rate: f64,
    /// Where the figures are kept, as JSON.
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(watchers) = arguments.feed_watchers {
        return measure_feed(&arguments, watchers).await;
    }
    let mut figures = Vec::new();
    for database in &arguments.databases {
        for connections in &arguments.connections {
            let sessions = if *connections == 1 { arguments.sessions } else { arguments.sessions * 10 };
            let figure = measure(&arguments, *database, *connections, sessions).await;
            let figure = figure.with_context(|| format!("{database:?} with {connections} connections"))?;
            report::line(&figure);
            figures.push(figure);
        }
    }
    report::keep(&arguments.results, &figures)
}

async fn measure(arguments: &Arguments, database: Backend, connections: usize, sessions: usize) -> Result<Figure> {
    let stack = Stack::start(&arguments.binary, database, &[]).await?;
    let controller = stack.controller("bench-1", "noop", &[])?;
    stack.ready().await?;
    load::run(&stack, 200, connections).await.context("warming up")?;
    let before = (stack.serve.cpu_seconds()?, controller.cpu_seconds()?);
    let run = load::run(&stack, sessions, connections).await?;
    let used = Used {
        memory_mb: stack.serve.memory_mb()?,
        serve_cpu_seconds: stack.serve.cpu_seconds()? - before.0,
        controller_cpu_seconds: controller.cpu_seconds()? - before.1,
    };
    Ok(Figure::of(database, connections, sessions, &run, &used))
}

async fn measure_feed(arguments: &Arguments, watchers: usize) -> Result<()> {
    let rate = arguments.feed_rate;
    let plan = feed::Plan { watchers, sessions: (rate * 10.0).ceil() as usize, rate };
    let mut figures = Vec::new();
    for database in &arguments.databases {
        let stack = Stack::start(&arguments.binary, *database, &[]).await?;
        let controller = stack.controller("bench-1", "noop", &[])?;
        stack.ready().await?;
        load::run(&stack, 20, 1).await.context("warming up")?;
        let before = (stack.serve.cpu_seconds()?, controller.cpu_seconds()?);
        let run = feed::run(&stack, plan).await.with_context(|| format!("{database:?} with {watchers} watchers"))?;
        let used = Used {
            memory_mb: stack.serve.memory_mb()?,
            serve_cpu_seconds: stack.serve.cpu_seconds()? - before.0,
            controller_cpu_seconds: controller.cpu_seconds()? - before.1,
        };
        let figure = report::FeedFigure::of(*database, plan, &run, &used);
        report::feed_line(&figure);
        figures.push(figure);
    }
    report::keep(&arguments.results, &figures)
}
