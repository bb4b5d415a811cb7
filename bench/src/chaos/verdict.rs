//! The account of a round: promises compared with the tables and with the controllers' journals.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use engine::store::{dead_letter, session};
use migrations::connect::Database;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Statement};
use serde::Serialize;
use streams::wire::SessionState;
use tokio::time::sleep;
use uuid::Uuid;

use super::fleet::CONTROLLERS;
use super::journals::Journals;
use super::load::{Goal, Promised};
use super::strangers::TRAP;
use crate::account;

/// Time that open work has to finish after everything was restored.
pub(super) const DEADLINE: Duration = Duration::from_secs(90);
/// Minimum share of promised sessions that must reach their goal; below it a round proves nothing.
pub(super) const FLOOR: f64 = 0.6;
/// Minimum number of promises; below it a round proves nothing.
pub(super) const LEAST: usize = 10;
/// Polling interval.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// Figures of a round, or their sum.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Number of 202 answers.
    pub accepted: usize,
    /// Sessions with a promise.
    pub sessions: usize,
    /// Of these, sessions that are as last promised, in the table and at the controller that owns them.
    pub completed: usize,
    /// Of these, sessions that ended as a dead letter, with the reason.
    pub dead: usize,
    /// Of these, neither.
    pub lost: usize,
    /// Sessions that two controllers held at once, and sessions created twice from one request.
    pub doubled: usize,
    /// Sessions with an open command after the deadline, and unfinished jobs.
    pub stuck: usize,
    /// Sessions that a controller holds although they are deleted, unknown, or owned by another.
    pub orphaned: usize,
    /// Sessions that a stranger owns or was sent a command for, and those that show a stranger's data.
    pub moved: usize,
    /// Dead letters that strangers caused.
    pub foreign: usize,
    /// Requests that had to be sent again.
    pub bumps: usize,
    /// Seconds until all work had finished.
    pub settled_seconds: f64,
    /// Duration of the round in seconds.
    pub seconds: f64,
}

impl Figures {
    /// Adds a round to a sum.
    pub fn add(&mut self, round: &Self) {
        self.accepted += round.accepted;
        self.sessions += round.sessions;
        self.completed += round.completed;
        self.dead += round.dead;
        self.lost += round.lost;
        self.doubled += round.doubled;
        self.stuck += round.stuck;
        self.orphaned += round.orphaned;
        self.moved += round.moved;
        self.foreign += round.foreign;
        self.bumps += round.bumps;
        self.settled_seconds += round.settled_seconds;
        self.seconds += round.seconds;
    }
}

/// Figures and violations.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// The figures.
    pub(super) figures: Figures,
    /// One line per violation.
    pub(super) wrong: Vec<String>,
}

impl Verdict {
    fn wrong(&mut self, what: impl fmt::Display) {
        self.wrong.push(what.to_string());
    }
}

/// Waits until nothing is open and the controllers agree with the table, or the deadline passes; then counts.
///
/// # Errors
/// The database or a journal cannot be read.
pub(super) async fn judge(
    database: &Database,
    promised: &Promised,
    journals: &impl Fn() -> Result<Journals>,
) -> Result<Verdict> {
    let begun = Instant::now();
    loop {
        let open = open(database).await?;
        let mut verdict = count(database, promised, &journals()?, &open).await?;
        if verdict.wrong.is_empty() || begun.elapsed() > DEADLINE {
            verdict.figures.settled_seconds = begun.elapsed().as_secs_f64();
            if let Err(error) = account::check(database).await {
                verdict.wrong(format!("{error:#}"));
            }
            return Ok(verdict);
        }
        sleep(LOOK).await;
    }
}

/// Unfinished work: open commands of sessions, running jobs.
async fn open(database: &Database) -> Result<Vec<String>> {
    let sql = "SELECT 'session ' || session_id || ': ' || command_verb || ' is open, attempt ' || attempt || ', ' || status \
               || ', reason ' || coalesce(reason, '-') || ', owner ' || coalesce(controller_id, '-') || ', deadline ' || \
               coalesce(deadline_ms::text, '-') || ', next ' || coalesce(next_attempt_ms::text, '-') AS what \
               FROM sessions WHERE command_id IS NOT NULL \
               UNION ALL SELECT 'job ' || job_id || ' is running' FROM jobs WHERE status = 'running'";
    let rows = database.reader.query_all_raw(Statement::from_string(database.backend, sql)).await?;
    Ok(rows.iter().map(|row| row.try_get("", "what")).collect::<Result<_, _>>()?)
}

async fn count(database: &Database, promised: &Promised, journals: &Journals, open: &[String]) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let rows = session::Entity::find().all(&database.reader).await?;
    let rows: HashMap<Uuid, session::Model> = rows.into_iter().map(|row| (row.session_id, row)).collect();
    let letters = dead_letter::Entity::find().select_only().column(dead_letter::Column::Entity);
    let letters = letters.filter(dead_letter::Column::Entity.is_not_null()).into_tuple::<String>();
    let letters: HashSet<String> = letters.all(&database.reader).await?.into_iter().collect();
    verdict.figures.accepted = promised.accepted;
    verdict.figures.sessions = promised.goals.len();
    verdict.figures.stuck = open.len();
    open.iter().for_each(|what| verdict.wrong(format!("stuck: {what}")));
    for (id, goal) in &promised.goals {
        match rows.get(id) {
            Some(row) if row.status == goal.as_str() && is_on_owner(journals, row) => verdict.figures.completed += 1,
            Some(row) if row.status == "failed" && letters.contains(&session::Model::entity(*id)) => {
                verdict.figures.dead += 1;
            }
            row => {
                verdict.figures.lost += 1;
                let is = row.map_or("unknown", |row| row.status.as_str());
                let there = journals.of(*id);
                verdict.wrong(format!(
                    "lost: session {id} should be {}, is {is}, at the controllers {there:?}",
                    goal.as_str()
                ));
            }
        }
    }
    for id in rows.keys().filter(|id| !promised.goals.contains_key(id)) {
        verdict.figures.doubled += 1;
        verdict.wrong(format!("doubled: no client knows session {id}, so its request created another one, too"));
    }
    for what in moved(database, &rows).await? {
        verdict.figures.moved += 1;
        verdict.wrong(format!("moved: {what}"));
    }
    for what in journals.doubled() {
        verdict.figures.doubled += 1;
        verdict.wrong(format!("doubled: {what}"));
    }
    for (id, controller, state) in journals.all() {
        let row = rows.get(&id).filter(|row| row.status != Goal::Deleted.as_str());
        if row.is_none_or(|row| row.controller_id.as_deref() != Some(controller)) {
            verdict.figures.orphaned += 1;
            verdict.wrong(format!("orphaned: {controller} has session {id} {}", state.as_str()));
        }
    }
    Ok(verdict)
}

/// The effects of strangers. No controller of a round is of the core lane, so no command may be sent to a whole
/// platform.
async fn moved(database: &Database, rows: &HashMap<Uuid, session::Model>) -> Result<Vec<String>> {
    let ours = |id: &str| CONTROLLERS.iter().any(|(controller, _)| *controller == id);
    let taken = rows.values().filter_map(|row| {
        let owner = row.controller_id.as_deref().filter(|id| !ours(id));
        let trapped = row.url.as_deref().filter(|url| url.contains(TRAP));
        let what =
            owner.map(|id| format!("is owned by {id:?}")).or_else(|| trapped.map(|url| format!("is at {url}")))?;
        Some(format!("session {} {what}", row.session_id))
    });
    let mut all: Vec<String> = taken.collect();
    let sql = "SELECT DISTINCT controller_id, coalesce(lane, '-') AS lane, subject FROM event_log \
               WHERE kind = 'command' AND entity LIKE 'session:%' AND published_at IS NOT NULL";
    for row in database.reader.query_all_raw(Statement::from_string(database.backend, sql)).await? {
        let to: Option<String> = row.try_get("", "controller_id")?;
        let (lane, subject): (String, String) = (row.try_get("", "lane")?, row.try_get("", "subject")?);
        if lane == "core" || to.as_deref().is_none_or(|id| !ours(id)) {
            all.push(format!("a command went to {to:?} on {subject}, in the lane {lane}"));
        }
    }
    Ok(all)
}

/// Whether the owner's journal agrees with the row.
fn is_on_owner(journals: &Journals, row: &session::Model) -> bool {
    let there = journals.of(row.session_id);
    match row.status.as_str() {
        "deleted" => there.is_empty(),
        status => {
            let state = SessionState::from_name(status);
            there.iter().any(|(id, is)| Some(*id) == row.controller_id.as_deref() && Some(*is) == state)
        }
    }
}

/// Checks that a round reached enough to prove anything.
///
/// # Errors
/// It did not.
pub(super) fn floor(figures: &Figures) -> Result<()> {
    let share = figures.completed as f64 / figures.sessions.max(1) as f64;
    ensure!(figures.accepted >= LEAST, "only {} requests were accepted", figures.accepted);
    ensure!(share >= FLOOR, "only {:.0} % of the sessions came to their goal", share * 100.0);
    Ok(())
}
