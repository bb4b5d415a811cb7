//! What happens to JetStream itself: its streams are declared, watched, and when they were lost, all that was in them is
//! driven again.
//!
//! An epoch counts the incarnations of the streams. It is stored only after everything that the old incarnation held was
//! put back, so that a crash in between does it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use streams::topology::{self, SS_COMMANDS, SS_REPORTS, Settings, StreamState};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::parts::Parts;
use crate::store::commanded::{Commanded, Word, each};
use crate::store::stream_epoch;
use crate::writer::Work;

/// How often the streams are looked at while nothing seems wrong.
const LOOK: Duration = Duration::from_secs(5);
/// Rows that are driven again together.
const BATCH: u64 = 500;

/// The command stream's present epoch, shared with those who stamp rows with it. (Reports bring theirs with them.)
#[derive(Debug, Clone, Default)]
pub(crate) struct Epoch(Arc<AtomicI64>);

impl Epoch {
    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Why the streams are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// JetStream says so.
    #[error(transparent)]
    Topology(#[from] topology::Error),
    /// The database says so.
    #[error("the streams' epochs cannot be read: {0}")]
    Database(#[from] DbErr),
    /// What was found could not be written down.
    #[error("the streams' epochs cannot be written: {0}")]
    Writer(#[from] crate::writer::Error),
}

/// Streams that were made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// The epoch of the command stream.
    pub epoch: i64,
    /// Commands that are published again.
    pub commands: usize,
}

/// Keeps the streams.
#[derive(Debug, Clone)]
pub(crate) struct Courier {
    pub(crate) parts: Parts,
    pub(crate) settings: Settings,
    pub(crate) epoch: Epoch,
    /// Told when consumers have to be declared again and worlds asked for.
    pub(crate) renewed: Arc<Notify>,
    /// Held by whoever looks after the streams.
    pub(crate) alone: Arc<Mutex<()>>,
}

impl Courier {
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut state = self.parts.link.state.clone();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                changed = state.changed() => if changed.is_err() { return },
                () = cancel.cancelled() => return,
            }
            if !state.borrow_and_update().connected {
                continue;
            }
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "the streams cannot be looked after now");
            }
        }
    }

    /// Declares the streams, and where one is a new incarnation, drives again what the old one held.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        let _alone = self.alone.lock().await;
        self.declare().await?;
        topology::make_room(&self.parts.link.jetstream).await?;
        Ok(())
    }

    /// Makes the streams of commands and reports anew, as if the server had lost them: what the log has open is sent again, and
    /// what they held of reports is told again by the controllers. The unread tail of the dead-letter stream is nowhere else,
    /// so that one stays.
    pub(crate) async fn rebuild(&self) -> Result<Rebuilt, Error> {
        let _alone = self.alone.lock().await;
        for name in [SS_COMMANDS, SS_REPORTS] {
            topology::forget(&self.parts.link.jetstream, name).await?;
        }
        let commands = self.declare().await?;
        Ok(Rebuilt { epoch: self.epoch.get(), commands })
    }

    /// Answers how many commands were driven again.
    async fn declare(&self) -> Result<usize, Error> {
        let known = stream_epoch::Entity::find().all(&self.parts.database.reader).await?;
        let next = known.iter().map(|row| row.epoch).max().unwrap_or(0) + 1;
        let states = topology::declare(&self.parts.link.jetstream, &self.settings, next).await?;
        let epoch_of = |name: &str| known.iter().find(|row| row.name == name).map_or(0, |row| row.epoch);
        let renewed: Vec<&StreamState> = states.iter().filter(|state| state.epoch != epoch_of(state.name)).collect();
        if !renewed.is_empty() || states.iter().any(|state| state.created) {
            topology::declare_engine_consumers(&self.parts.link.jetstream).await?;
        }
        for state in states.iter().filter(|state| state.name == SS_COMMANDS) {
            self.epoch.0.store(state.epoch, Ordering::Release);
        }
        states.iter().for_each(|state| self.parts.metrics.fullness(state));
        if renewed.is_empty() {
            return Ok(0);
        }
        self.renew(&renewed).await
    }

    async fn renew(&self, renewed: &[&StreamState]) -> Result<usize, Error> {
        self.renewed.notify_one();
        let mut count = 0;
        if renewed.iter().any(|state| state.name == SS_COMMANDS) {
            count = each!(E => self.drive_again::<E>().await?).into_iter().sum();
            tracing::info!(commands = count, "the command stream is new: what was under way is sent again");
        }
        for state in renewed {
            let (epoch, last_seq) = (state.epoch, i64::try_from(state.last_seq).unwrap_or(i64::MAX));
            let work = Work::Epoch { name: state.name, epoch, created_at: state.created_at.to_string(), last_seq };
            self.parts.writer.enqueue(work, None).await?;
        }
        Ok(count)
    }

    /// Every command of the durable lane that the lost stream may have held.
    async fn drive_again<E: Commanded>(&self) -> Result<usize, Error> {
        let mut after = Uuid::nil();
        let mut count = 0;
        loop {
            let page: Vec<Uuid> = E::find()
                .select_only()
                .column(E::ID)
                .filter(E::ID.gt(after))
                .filter(E::DEADLINE_MS.is_not_null())
                .filter(E::COMMAND_ID.is_not_null())
                .filter(E::LANE.eq(machine::Lane::Durable.as_str()))
                .order_by_asc(E::ID)
                .limit(BATCH)
                .into_tuple()
                .all(&self.parts.database.reader)
                .await?;
            let Some(last) = page.last().copied() else { return Ok(count) };
            count += page.len();
            let lost = page.into_iter().map(|id| self.parts.writer.enqueue(E::work(id, Word::Lost), None));
            for written in join_all(lost).await {
                written?;
            }
            after = last;
        }
    }
}
