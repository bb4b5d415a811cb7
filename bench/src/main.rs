//! The load generator: real processes, a release build, load over HTTP from outside.
//!
//! For each database and number of connections it creates sessions, first without a controller at work, then
//! each after the previous one runs. README.md explains the figures.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

use bench::age;
use bench::chaos;
use bench::feed;
use bench::load::{self, Goal};
use bench::process::Signal;
use bench::recovery;
use bench::report::{self, Figure, Used};
use bench::stack::{Backend, PATIENT, Stack};
use bench::verify;

/// Measures how fast sessions are accepted, and how fast they run.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// Release binary to measure.
    #[arg(long, default_value = "target/release/streamspace")]
    binary: PathBuf,
    /// Databases to measure.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    databases: Vec<Backend>,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_value = "1,64,256")]
    connections: Vec<usize>,
    /// What a connection waits for before its next request.
    #[arg(long, value_delimiter = ',', default_value = "accepted,running")]
    goals: Vec<Goal>,
    /// Sessions per run with one connection; runs with more connections create ten times as many.
    #[arg(long, default_value_t = 2_000)]
    sessions: usize,
    /// Measure the live feed instead, with this many watchers.
    #[arg(long, value_name = "COUNT")]
    feed_watchers: Option<usize>,
    /// Sessions per second while the feed is measured, for ten seconds.
    #[arg(long, default_value_t = 5.0)]
    feed_rate: f64,
    /// Measure instead how soon work resumes after a kill with this many sessions in flight.
    #[arg(long, value_name = "COUNT")]
    recovery: Option<usize>,
    /// Folder for the figures, as JSON.
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

/// Other measurements and tests.
#[derive(Debug, Subcommand)]
enum Instead {
    /// Chaos rounds on real processes, with an account of every promise.
    Chaos(Chaos),
    /// The same requests on a young and on an old database.
    Age(Age),
    /// The cost of idle sessions.
    Idle(Idle),
    /// How fast a synthetic log is compared with the tables, in this process.
    Verify {
        /// Rows of the log.
        #[arg(long, default_value_t = 500_000)]
        events: u64,
        /// Databases to measure.
        #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
        databases: Vec<Backend>,
    },
}

#[derive(Debug, Args)]
struct Age {
    /// Release binary to measure.
    #[arg(long, default_value = "target/release/streamspace")]
    binary: PathBuf,
    /// Databases to measure.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    databases: Vec<Backend>,
    /// Sessions of the old database; the young one has 1,000.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: u64,
    /// Rows of its log, equally many per session.
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Requests of each kind.
    #[arg(long, default_value_t = 1_000)]
    requests: usize,
    /// Folder for the figures, as JSON.
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

#[derive(Debug, Args)]
struct Idle {
    /// Release binary to measure.
    #[arg(long, default_value = "target/release/streamspace")]
    binary: PathBuf,
    /// Databases to measure.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    databases: Vec<Backend>,
    /// Number of running sessions.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Duration of the measurement, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Folder for the figures, as JSON.
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

#[derive(Debug, Args)]
struct Chaos {
    /// Binary to test.
    #[arg(long, default_value = "target/debug/streamspace")]
    binary: PathBuf,
    /// Number of rounds.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Seed of the first round, random by default; each further round has the next number.
    #[arg(long)]
    seed: Option<u64>,
    /// Rounds at the same time.
    #[arg(long, default_value_t = 3)]
    beside: u64,
    /// File for the account, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.instead {
        Some(Instead::Chaos(chaos)) => return suffer(chaos).await,
        Some(Instead::Age(asked)) => return grow_old(asked).await,
        Some(Instead::Idle(asked)) => return stay_idle(asked).await,
        Some(Instead::Verify { events, databases }) => return scan(&databases, events).await,
        None => {}
    }
    if let Some(watchers) = arguments.feed_watchers {
        return measure_feed(&arguments, watchers).await;
    }
    if let Some(in_flight) = arguments.recovery {
        return measure_recovery(&arguments, in_flight).await;
    }
    let mut figures = Vec::new();
    for database in &arguments.databases {
        for goal in &arguments.goals {
            for connections in &arguments.connections {
                let sessions = if *connections == 1 { arguments.sessions } else { arguments.sessions * 10 };
                let figure = measure(&arguments, *database, *goal, *connections, sessions).await;
                let figure = figure.with_context(|| format!("{database:?} with {connections} connections"))?;
                report::line(&figure);
                figures.push(figure);
            }
        }
    }
    report::keep(&arguments.results, &figures)
}

#[allow(clippy::print_stdout)] // the figures are what was asked for
async fn scan(databases: &[Backend], events: u64) -> Result<()> {
    for backend in databases {
        let owned = backend.database().await?;
        let scanned = verify::run(&owned.database, events).await.with_context(|| format!("{backend:?}"))?;
        println!("{backend:?}: {} events, {:.0} a second", scanned.report.events, scanned.per_second);
    }
    Ok(())
}

async fn measure(
    arguments: &Arguments,
    database: Backend,
    goal: Goal,
    connections: usize,
    sessions: usize,
) -> Result<Figure> {
    let stack = Stack::start(&arguments.binary, database, &[]).await?;
    let controller = stack.controller("bench-1", "noop", &[(PATIENT.0, PATIENT.1.into())])?;
    stack.ready(1).await?;
    let idle_memory_mb = stack.serve.memory_mb()?;
    load::run(&stack, Goal::Running, 200, connections).await.context("warming up")?;
    if goal == Goal::Accepted {
        controller.signal(Signal::STOP)?;
    }
    let before = (stack.serve.cpu_seconds()?, controller.cpu_seconds()?);
    let run = load::run(&stack, goal, sessions, connections).await?;
    let used = Used {
        memory_mb: stack.serve.memory_mb()?,
        serve_cpu_seconds: stack.serve.cpu_seconds()? - before.0,
        controller_cpu_seconds: controller.cpu_seconds()? - before.1,
    };
    Ok(Figure::of(database, goal, connections, &run, &used, idle_memory_mb))
}

async fn measure_recovery(arguments: &Arguments, in_flight: usize) -> Result<()> {
    let mut figures = Vec::new();
    for database in &arguments.databases {
        let mut stack = Stack::start(&arguments.binary, *database, &[]).await?;
        let figure = recovery::run(&mut stack, *database, in_flight).await.with_context(|| stack.logs())?;
        report::recovery_line(&figure);
        figures.push(figure);
    }
    report::keep(&arguments.results, &figures)
}

async fn measure_feed(arguments: &Arguments, watchers: usize) -> Result<()> {
    let rate = arguments.feed_rate;
    let plan = feed::Plan { watchers, sessions: (rate * 10.0).ceil() as usize, rate };
    let mut figures = Vec::new();
    for database in &arguments.databases {
        let stack = Stack::start(&arguments.binary, *database, &[]).await?;
        let controller = stack.controller("bench-1", "noop", &[])?;
        stack.ready(1).await?;
        load::run(&stack, Goal::Running, 20, 1).await.context("warming up")?;
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

async fn grow_old(asked: Age) -> Result<()> {
    let old = age::Age { sessions: asked.sessions, events: asked.events };
    ensure!(old.sessions > 0 && old.events >= old.sessions, "each session has a row in the log, or more");
    let young =
        age::Age { sessions: 1_000.min(old.sessions), events: 1_000.min(old.sessions) * (old.events / old.sessions) };
    let mut figures = Vec::new();
    for database in asked.databases {
        let aged = age::run(&asked.binary, database, young, old, asked.requests).await;
        let aged = aged.with_context(|| format!("{database:?}"))?;
        age::print(&aged);
        figures.push(aged);
    }
    report::keep(&asked.results, &figures)
}

async fn stay_idle(asked: Idle) -> Result<()> {
    let mut figures = Vec::new();
    for database in asked.databases {
        let idle = age::idle(&asked.binary, database, asked.sessions, asked.seconds).await;
        let idle = idle.with_context(|| format!("{database:?}"))?;
        idle.print();
        figures.push(idle);
    }
    report::keep(&asked.results, &figures)
}

#[allow(clippy::print_stdout)] // the account is what was asked for
async fn suffer(asked: Chaos) -> Result<()> {
    let seed = asked.seed.unwrap_or_else(|| rand::random_range(0..1_000_000_000));
    println!("seed {seed}\n{}", chaos::head());
    let settings = chaos::Settings { binary: asked.binary, rounds: asked.rounds, seed, beside: asked.beside };
    let begun = Instant::now();
    let rounds = chaos::run(&settings, |round| {
        println!("{}", chaos::line(&round.seed.to_string(), &round.figures, round.wrong.is_empty()));
        round.wrong.iter().for_each(|what| println!("    {what}"));
    });
    let rounds = rounds.await?;
    let mut sum = chaos::Figures::default();
    rounds.iter().for_each(|round| sum.add(&round.figures));
    let broken: Vec<u64> = rounds.iter().filter(|round| !round.wrong.is_empty()).map(|round| round.seed).collect();
    println!("{}", chaos::line("all", &sum, broken.is_empty()));
    println!("{} rounds in {:.0} s", rounds.len(), begun.elapsed().as_secs_f64());
    if let Some(file) = asked.json {
        let text = serde_json::to_string_pretty(&serde_json::json!({ "seed": seed, "sum": sum, "rounds": rounds }))?;
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    }
    ensure!(broken.is_empty(), "these seeds failed: {broken:?}; repeat one with make chaos ROUNDS=1 SEED=<seed>");
    Ok(())
}
