//! What happens to the log when it is old: what nobody needs any more goes, behind a snapshot of what it added up to.
//!
//! A round looks at the oldest rows that it has not looked at before, by their ids, so that it costs what is due and not what
//! is there; with nothing due it is one row by the primary key. `cut` decides how much of an entity's log may go, `archive` has it
//! on disk before it goes, and the writer takes it away in one small piece of work, if the mark that says how far the log was
//! looked through still stands where this round read it. So of several engines one does the round, and no other waits.
//!
//! Rows of entities that ended stay, and so does one row of their log: they are what fences a report that comes again.
//! Templates keep their whole log.

mod archive;
pub mod cut;
mod due;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::parts::Parts;
use crate::store::event;
use crate::writer::{self, Cut, Prune, Work};
use archive::Archive;
use cut::{Limits, reach};
pub(crate) use due::MARK;
pub use due::{first, following};

/// What is kept for how long, and where the rest goes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The age from which a row of the log may go.
    pub events: Duration,
    /// Where rows are written before they go; without it they are gone for good.
    pub archive: Option<PathBuf>,
    /// Time between two looks.
    pub every: Duration,
}

impl Settings {
    /// Time between two looks, unless it is set.
    pub const EVERY: Duration = Duration::from_secs(60);
}

/// Rows that one round looks at.
const PAGE: u64 = 200;
/// Rows that one piece of work takes away, or little more; the writer has other work between two of them.
const STEP: usize = 2_000;
/// The pause between two rounds that found something.
const BETWEEN: Duration = Duration::from_millis(20);

/// Why nothing goes now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("the database does not answer: {0}")]
    Database(#[from] sea_orm::DbErr),
    /// It cannot be written.
    #[error(transparent)]
    Writer(#[from] writer::Error),
    /// The archive does not take it.
    #[error("the archive {0}: {1}")]
    Archive(PathBuf, #[source] std::io::Error),
}

struct Keeper {
    parts: Parts,
    settings: Settings,
    archive: Option<Archive>,
}

pub(crate) async fn run(parts: Parts, settings: Settings, cancel: CancellationToken) {
    let archive = settings.archive.clone().map(Archive::new);
    let mut keeper = Keeper { parts, settings, archive };
    loop {
        let pause = match keeper.round().await {
            Ok(true) => BETWEEN,
            Ok(false) => keeper.settings.every,
            Err(error) => {
                tracing::warn!(%error, "nothing of the log is taken away now");
                keeper.settings.every
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Keeper {
    /// Looks through the next rows that are due; says whether there were any.
    async fn round(&mut self) -> Result<bool, Error> {
        let db = &self.parts.database.reader;
        let now_ms = self.parts.clock.now_ms(db).await?;
        let before_ms = now_ms - i64::try_from(self.settings.events.as_millis()).unwrap_or(i64::MAX / 2);
        let from = due::mark(db).await?;
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
        let cuts: Vec<(Cut, &[event::Model])> = logs.iter().filter_map(|log| cut_of(log, &limits)).collect();
        if let (Some(archive), false) = (&mut self.archive, cuts.is_empty()) {
            archive.append(now_ms, cuts.iter().flat_map(|(_, rows)| rows.iter())).await?;
        }
        let rows: usize = cuts.iter().map(|(_, rows)| rows.len()).sum();
        let cuts = cuts.into_iter().map(|(cut, _)| cut).collect();
        self.parts.writer.enqueue(Work::Prune(Box::new(Prune { from, to, cuts })), None).await?;
        tracing::debug!(log.rows = rows, log.id = to, "the log was looked through");
        Ok(true)
    }

    /// The beginnings of the logs that the next due rows belong to, and the last row that is dealt with by looking at them.
    async fn logs(&self, from: i64, before_ms: i64, newest: i64) -> Result<(Vec<Vec<event::Model>>, i64), Error> {
        let db = &self.parts.database.reader;
        let (mut logs, mut known, mut to, mut rows) = (Vec::new(), HashSet::new(), from, 0);
        for due in due::page(db, from, PAGE).await? {
            if due.created_ms > before_ms || due.id >= newest {
                break;
            }
            if !due.entity.starts_with("template:") && !known.contains(&due.entity) {
                if rows >= STEP {
                    break;
                }
                let log = due::log(db, &due.entity).await?;
                rows += log.len();
                logs.push(log);
                known.insert(due.entity);
            }
            to = due.id;
        }
        Ok((logs, to))
    }
}

/// What goes of a log, with the rows themselves.
fn cut_of<'a>(log: &'a [event::Model], limits: &Limits) -> Option<(Cut, &'a [event::Model])> {
    let (rows, facts) = reach(log, limits)?;
    let last = rows.last()?;
    let (entity, ids) = (last.entity.clone(), rows.iter().map(|row| row.id).collect());
    Some((Cut { entity, ids, seq: last.entity_seq, facts }, rows))
}
