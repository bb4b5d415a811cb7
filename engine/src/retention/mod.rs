//! What happens to what is old: rows of the log go behind a snapshot of what they added up to (`log`), and closed dead letters
//! and finished jobs go as a whole (`records`).
//!
//! A round looks for what is due in the order of time, so that it costs what is due and not what is there; with nothing due it is
//! one row by an index. `archive` has everything on disk before it goes, and the writer takes it away in one small piece of work
//! that does nothing where another engine was faster. So of several engines one does the round, and no other waits.
//!
//! Rows of entities that ended stay, and so does one row of their log: they are what fences a report that comes again.
//! Templates keep their whole log.

mod archive;
pub mod cut;
mod due;
mod log;
mod records;

use std::path::PathBuf;
use std::time::Duration;

use streams::tasks::Task;

use crate::parts::Parts;
use crate::writer;
use archive::Archive;
pub(crate) use due::MARK;
pub use due::{closed, finished, first, following};

/// What is kept for how long, and where the rest goes. What has no age here is kept for ever.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The age from which a row of the log may go.
    pub events: Option<Duration>,
    /// The time after which a dead letter that was replayed or discarded may go.
    pub dead_letters: Option<Duration>,
    /// The time after which a job that ended may go.
    pub jobs: Option<Duration>,
    /// Where rows are written before they go; without it they are gone for good.
    pub archive: Option<PathBuf>,
    /// Time between two looks.
    pub every: Duration,
}

impl Settings {
    /// Time between two looks, unless it is set.
    pub const EVERY: Duration = Duration::from_secs(60);
}

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
    archive: Option<Archive>,
}

pub(crate) async fn run(parts: Parts, settings: Settings, task: Task) {
    let mut keeper = Keeper { parts, archive: settings.archive.clone().map(Archive::new) };
    loop {
        let pause = match task.round(keeper.round(&settings)).await {
            Ok(true) => BETWEEN,
            Ok(false) => settings.every,
            Err(error) => {
                tracing::warn!(%error, "nothing that is old is taken away now");
                settings.every
            }
        };
        tokio::select! {
            biased;
            () = task.cancel().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Keeper {
    /// Takes away the next of all that is due; says whether there was anything.
    async fn round(&mut self, settings: &Settings) -> Result<bool, Error> {
        let now_ms = self.parts.clock.now_ms(&self.parts.database.reader).await?;
        let before = |age: Duration| now_ms - i64::try_from(age.as_millis()).unwrap_or(i64::MAX / 2);
        let mut any = false;
        if let Some(age) = settings.dead_letters {
            any |= self.letters(now_ms, before(age)).await?;
        }
        if let Some(age) = settings.jobs {
            any |= self.jobs(now_ms, before(age)).await?;
        }
        if let Some(age) = settings.events {
            any |= self.events(now_ms, before(age)).await?;
        }
        Ok(any)
    }
}
