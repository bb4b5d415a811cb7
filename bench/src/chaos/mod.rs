//! Chaos rounds: real processes under load, killed, paused, rolled and cut off by a plan from one seed; then an
//! account of every promise, checked against the tables and against what the controllers did.

mod client;
mod crowd;
mod fleet;
mod journals;
mod letters;
mod load;
mod plan;
mod strangers;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use tokio::task::JoinSet;

pub use plan::{Action, Plan, Step};
pub use verdict::Figures;

use client::{Bumps, Client};
use fleet::Fleet;
use journals::Journals;
use load::{Promised, User};

/// Users per round.
const USERS: u64 = 8;

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The binary under test.
    pub binary: PathBuf,
    /// Number of rounds.
    pub rounds: u64,
    /// Seed of the first round; each further one has the next number.
    pub seed: u64,
    /// Number of rounds that run at the same time, because a round mostly waits.
    pub beside: u64,
}

/// The result of a round.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Seed that reproduces the round.
    pub seed: u64,
    /// Whether it consisted of rolling restarts only.
    pub calm: bool,
    /// Its figures.
    pub figures: Figures,
    /// Violations; empty after a good round.
    pub wrong: Vec<String>,
}

/// Runs all rounds; `report` is called at the end of each.
///
/// # Errors
/// A fleet cannot be started at all.
pub async fn run(settings: &Settings, mut report: impl FnMut(&Round)) -> Result<Vec<Round>> {
    ensure!(settings.binary.exists(), "{} is missing; build it first", settings.binary.display());
    let mut seeds = settings.seed..settings.seed.saturating_add(settings.rounds);
    let (mut running, mut ended) = (JoinSet::new(), Vec::new());
    loop {
        while running.len() < settings.beside.max(1) as usize
            && let Some(seed) = seeds.next()
        {
            let binary = settings.binary.clone();
            running.spawn(async move { round(&binary, Plan::draw(seed)).await });
        }
        let Some(round) = running.join_next().await else { return Ok(ended) };
        let round = round?;
        report(&round);
        ended.push(round);
    }
}

/// Runs one round.
pub async fn round(binary: &Path, plan: Plan) -> Round {
    let begun = Instant::now();
    let mut round = Round { seed: plan.seed, calm: plan.calm, figures: Figures::default(), wrong: Vec::new() };
    let fleet = match Fleet::start(binary, &plan).await {
        Ok(fleet) => fleet,
        Err(error) => {
            round.wrong.push(format!("the fleet did not start: {error:#}"));
            return round;
        }
    };
    if let Err(error) = play(&fleet, &plan, &mut round).await {
        round.wrong.push(format!("{error:#}"));
    }
    if !round.wrong.is_empty() {
        round.wrong.push(format!("the plan was {plan:?}"));
        round.wrong.push(fleet.keep().await);
    }
    round.figures.seconds = begun.elapsed().as_secs_f64();
    round
}

async fn play(fleet: &Fleet, plan: &Plan, round: &mut Round) -> Result<()> {
    let (over, bumps) = (Arc::new(AtomicBool::new(false)), Arc::new(Bumps::default()));
    let token = fleet.stack.lock().await.token.clone();
    let mut users = JoinSet::new();
    for number in 0..USERS {
        let client = Client::new(&fleet.servers, &token, number as usize, bumps.clone())?;
        users.spawn(User::new(plan.seed, number, client).ask(over.clone()));
    }
    let suffered = fleet.suffer(plan).await;
    over.store(true, Ordering::Relaxed);
    let mut promised = Promised::default();
    while let Some(user) = users.join_next().await {
        let one = user?.context("a user")?;
        promised.accepted += one.accepted;
        promised.goals.extend(one.goals);
    }
    suffered?;
    let stack = fleet.stack.lock().await;
    letters::refuse_forged(&stack).await?;
    let database = stack.database.clone();
    drop(stack);
    let verdict = verdict::judge(&database, &promised, &|| Journals::read(fleet.journals())).await?;
    (round.figures, round.wrong) = (verdict.figures, verdict.wrong);
    round.wrong.extend(letters::parked(&database, plan.poison()).await?);
    round.figures.foreign = letters::judge(&database, &fleet.strangers, &mut round.wrong).await?;
    round.figures.bumps = bumps.errors.load(Ordering::Relaxed);
    verdict::floor(&round.figures)?;
    let first = bumps.first.lock().map(|first| first.clone()).unwrap_or_default();
    match first {
        Some(error) if plan.calm => bail!("a client noticed a rolling restart: {error}"),
        _ => Ok(()),
    }
}

/// A line of the table.
#[must_use]
pub fn line(seed: &str, figures: &Figures, good: bool) -> String {
    let Figures {
        accepted,
        sessions,
        completed,
        dead,
        lost,
        doubled,
        stuck,
        orphaned,
        moved,
        foreign,
        bumps,
        settled_seconds,
        seconds,
    } = figures;
    let verdict = if good { "good" } else { "BROKEN" };
    format!(
        "{seed:>12} {accepted:>8} {sessions:>8} {completed:>9} {dead:>4} {lost:>4} {doubled:>7} {stuck:>5} {orphaned:>8} \
         {moved:>5} {foreign:>7} {bumps:>6} {settled_seconds:>7.1} {seconds:>7.1} {verdict}"
    )
}

/// The head of the table.
#[must_use]
pub fn head() -> String {
    format!(
        "{:>12} {:>8} {:>8} {:>9} {:>4} {:>4} {:>7} {:>5} {:>8} {:>5} {:>7} {:>6} {:>7} {:>7}",
        "seed",
        "accepted",
        "sessions",
        "completed",
        "dead",
        "lost",
        "doubled",
        "stuck",
        "orphaned",
        "moved",
        "foreign",
        "resent",
        "settled",
        "seconds"
    )
}
