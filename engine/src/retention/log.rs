//! What happens to old rows of the log: those that nobody needs any more go behind a snapshot.
//!
//! A round looks at the oldest rows that no round has looked at before, by their ids. `cut` decides how much of an entity's log may
//! go; the step counts only if the mark that says how far the log was looked through still stands where this round read it.

use std::collections::HashSet;

use super::cut::{Limits, Reach, reach};
use super::{Error, Keeper, due};
use crate::store::event;
use crate::stuck::TRIES;
use crate::writer::{self, Cut, Hope, Prune};

/// Rows that one round looks at.
const PAGE: u64 = 200;
/// Rows that one piece of work takes away, or little more; the writer has other work between two of them.
const STEP: usize = 2_000;
/// Where events are named that a letter is about.
const LETTER: &str = "dead_letter:";

impl Keeper {
    /// Looks through the next rows that are due; says whether there were any.
    pub(super) async fn events(&mut self, now_ms: i64, before_ms: i64) -> Result<bool, Error> {
        let db = &self.parts.database.reader;
        let from = due::mark(db).await?;
        let about = format!("log:{from}");
        if self.parts.stuck.is_passed_over(&about, now_ms) {
            return Ok(false);
        }
        if due::first(db, from).await?.is_none_or(|row| row.created_ms > before_ms) {
            return Ok(false);
        }
        let Some(newest) = due::newest(db).await? else { return Ok(false) };
        let (logs, to) = self.logs(from, before_ms, newest).await?;
        if to == from {
            return Ok(false);
        }
        let ids = logs.iter().flatten().map(|row| row.event_id).collect();
        let held = due::held(db, ids).await?;
        let limits = Limits { before_ms, newest, held };
        let reached: Vec<Reach<'_>> = logs.iter().filter_map(|log| reach(log, &limits)).collect();
        if let (Some(archive), false) = (&mut self.archive, reached.is_empty()) {
            archive.append(now_ms, "event_log", reached.iter().flat_map(|reach| reach.rows)).await?;
        }
        let rows: usize = reached.iter().map(|reach| reach.rows.len()).sum();
        let cuts: Vec<Cut> = reached.into_iter().filter_map(cut).collect();
        let entities: Vec<String> = cuts.iter().map(|cut| cut.entity.clone()).collect();
        match self.parts.writer.enqueue(Prune { from, to, cuts }, None).await {
            Err(error) if error.hope() != Hope::Passes => {
                return self.held_up(&about, &entities, error, (from, to), now_ms).await;
            }
            written => drop(written?),
        }
        self.parts.stuck.done(|| about);
        tracing::debug!(log.rows = rows, log.id = to, "the log was looked through");
        Ok(true)
    }

    /// Rows that cannot be taken away are tried again after a pause, and then left until a later row of theirs is due, so that what
    /// comes after them goes.
    async fn held_up(
        &self,
        about: &str,
        entities: &[String],
        error: writer::Error,
        (from, to): (i64, i64),
        now_ms: i64,
    ) -> Result<bool, Error> {
        if self.parts.stuck.pass_over(about, &error, now_ms) < TRIES {
            return Ok(false);
        }
        entities.iter().for_each(|entity| _ = self.parts.stuck.failed(&format!("log of {entity}"), &error));
        let none = Prune { from, to, cuts: Vec::new() };
        self.parts.writer.enqueue(none, None).await?;
        self.parts.stuck.done(|| about.to_owned());
        Ok(true)
    }

    /// The beginnings of the logs that the next due rows belong to, and the last row that is dealt with by looking at them.
    async fn logs(&self, from: i64, before_ms: i64, newest: i64) -> Result<(Vec<Vec<event::Model>>, i64), Error> {
        let db = &self.parts.database.reader;
        let (mut logs, mut known, mut to, mut rows) = (Vec::new(), HashSet::new(), from, 0);
        for due in due::page(db, from, PAGE).await? {
            if due.created_ms > before_ms || due.id >= newest || rows >= STEP {
                break;
            }
            let mut entities = vec![due.entity];
            while let Some(entity) = entities.pop() {
                if entity.starts_with("template:") || !known.insert(entity.clone()) {
                    continue;
                }
                let log = due::log(db, &entity).await?;
                entities.extend(log.iter().filter_map(let_go));
                rows += log.len();
                logs.push(log);
            }
            to = due.id;
        }
        Ok((logs, to))
    }
}

/// Whose rows were held by a letter until this row closed it. They were passed by when they became due, so they are looked at again.
fn let_go(row: &event::Model) -> Option<String> {
    row.payload.get("about").filter(|_| row.entity.starts_with(LETTER))?.as_str().map(str::to_owned)
}

fn cut(reach: Reach<'_>) -> Option<Cut> {
    let last = reach.rows.last()?;
    let (entity, ids) = (last.entity.clone(), reach.rows.iter().map(|row| row.id).collect());
    Some(Cut { entity, ids, facts: reach.facts })
}
