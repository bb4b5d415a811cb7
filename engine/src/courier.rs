//! What happens to JetStream itself: its streams are declared, watched, and when they were lost, all that was in them is
//! driven again.
//!
//! An epoch counts the incarnations of the streams. It is stored only after everything that the old incarnation held was
//! put back, so that a crash in between does it again.
//!
//! Streams that were restored to an older state count as lost: sequences repeat in them under an epoch that the fences of reports
//! know further of, and what is new would be taken for old.

mod older;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use streams::tasks::Task;
use streams::topology::{self, SS_COMMANDS, SS_REPORTS, Settings, StreamState};
use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

use older::Memory;

use crate::ReadError;
use crate::ends;
use crate::entities::commanded::{Commanded, Nudge, each};
use crate::parts::Parts;
use crate::store::stream_epoch;
use crate::writer::{Hope, KnownEpoch, NudgeCommand};

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
    Database(#[from] ReadError),
    /// What was found could not be written down.
    #[error("the streams' epochs cannot be written: {0}")]
    Writer(#[from] crate::writer::Error),
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

/// Streams that were made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// The epoch of the command stream.
    pub epoch: i64,
    /// Commands that are published again.
    pub commands: usize,
}

/// The streams, and what the tables know of them.
#[derive(Debug)]
struct Survey {
    /// The epoch of each stream that the tables refer to.
    epochs: HashMap<String, i64>,
    /// The highest sequence of that epoch that they know.
    ends: HashMap<&'static str, u64>,
    states: Vec<StreamState>,
}

impl Survey {
    fn epoch(&self, stream: &str) -> i64 {
        self.epochs.get(stream).copied().unwrap_or(0)
    }
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
    pub(crate) memory: Arc<Mutex<Memory>>,
}

impl Courier {
    pub(crate) async fn run(self, task: Task) {
        let mut state = self.parts.link.state.clone();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                changed = state.changed() => if changed.is_err() { return },
                () = task.cancel().cancelled() => return,
            }
            if !state.borrow_and_update().connected {
                continue;
            }
            if let Err(error) = task.round(self.look()).await {
                tracing::warn!(%error, "the streams cannot be looked after now");
            }
        }
    }

    /// Declares the streams, and where one is a new incarnation, drives again what the old one held.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        let mut memory = self.memory.lock().await;
        let mut survey = self.survey(&memory).await?;
        if let Some(stream) = memory.older(&survey) {
            tokio::time::sleep(older::LATE).await;
            survey.states = self.survey(&memory).await?.states;
            if memory.older(&survey).is_some() {
                return self.replace(stream, survey, &mut memory).await;
            }
        }
        memory.note(&survey);
        self.adopt(&survey).await?;
        topology::make_room(&self.parts.link.jetstream).await?;
        Ok(())
    }

    /// Makes the streams of commands and reports anew, as if the server had lost them: what the log has open is sent again, and
    /// what they held of reports is told again by the controllers. The unread tail of the dead-letter stream is nowhere else,
    /// so that one stays.
    pub(crate) async fn rebuild(&self) -> Result<Rebuilt, Error> {
        let mut memory = self.memory.lock().await;
        self.forget().await?;
        let survey = self.survey(&memory).await?;
        memory.note(&survey);
        let commands = self.adopt(&survey).await?;
        Ok(Rebuilt { epoch: self.epoch.get(), commands })
    }

    async fn forget(&self) -> Result<(), Error> {
        for name in [SS_COMMANDS, SS_REPORTS] {
            topology::forget(&self.parts.link.jetstream, name).await?;
        }
        Ok(())
    }

    /// Does the same with streams that went back, one engine at a time: the second finds them new.
    async fn replace(&self, stream: &str, mut survey: Survey, memory: &mut Memory) -> Result<(), Error> {
        let Some(turn) = older::turn(&self.parts.database).await? else { return Ok(()) };
        survey.states = self.survey(memory).await?.states;
        if memory.older(&survey).is_some() {
            tracing::error!(stream, "was restored to an older state: the streams are made anew");
            self.forget().await?;
        }
        let survey = self.survey(memory).await?;
        memory.note(&survey);
        self.adopt(&survey).await?;
        Ok(turn.end().await?)
    }

    /// What the tables know is read first: the streams only grow meanwhile.
    async fn survey(&self, memory: &Memory) -> Result<Survey, Error> {
        let (db, backend) = (&self.parts.database.reader, self.parts.database.backend);
        let known = stream_epoch::Entity::find().all(db).await?;
        let epochs: HashMap<String, i64> = known.into_iter().map(|row| (row.name, row.epoch)).collect();
        let epoch = |name: &str| epochs.get(name).copied().unwrap_or(0);
        let ends = HashMap::from([
            (SS_COMMANDS, ends::commands(db, backend, epoch(SS_COMMANDS)).await?),
            (SS_REPORTS, ends::reports(db, backend, epoch(SS_REPORTS)).await?),
        ]);
        let next = epochs.values().copied().max().unwrap_or(0).max(memory.epoch()) + 1;
        let states = topology::declare(&self.parts.link.jetstream, &self.settings, next).await?;
        for state in states.iter().filter(|state| state.name == SS_COMMANDS) {
            self.epoch.0.store(state.epoch, Ordering::Release);
            self.parts.sizes.learn(state.max_message_bytes, self.parts.link.client.max_payload());
        }
        states.iter().for_each(|state| self.parts.metrics.fullness(state));
        Ok(Survey { epochs, ends, states })
    }

    /// Takes the streams as they are; answers how many commands were driven again.
    async fn adopt(&self, survey: &Survey) -> Result<usize, Error> {
        let Survey { states, .. } = survey;
        let renewed: Vec<&StreamState> =
            states.iter().filter(|state| state.epoch != survey.epoch(state.name)).collect();
        if !renewed.is_empty() || states.iter().any(|state| state.created) {
            topology::declare_engine_consumers(&self.parts.link.jetstream).await?;
        }
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
            let created_at = state.created_at.to_string();
            let known = KnownEpoch { name: state.name, epoch, created_at, last_seq };
            self.parts.writer.enqueue(known, None).await?;
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
                .column(E::KEY)
                .filter(E::KEY.gt(after))
                .filter(E::DEADLINE_MS.is_not_null())
                .filter(E::COMMAND_ID.is_not_null())
                .filter(E::LANE.eq(machine::Lane::Durable.as_str()))
                .order_by_asc(E::KEY)
                .limit(BATCH)
                .into_tuple()
                .all(&self.parts.database.reader)
                .await?;
            let Some(last) = page.last().copied() else { return Ok(count) };
            count += page.len();
            let lost = page.iter().map(|id| self.parts.writer.enqueue(NudgeCommand::<E>::new(*id, Nudge::Lost), None));
            for (id, written) in page.iter().zip(join_all(lost).await) {
                match written {
                    // its deadline deals with it; the others do not wait for it
                    Err(error) if error.hope() != Hope::Passes => drop(self.parts.stuck.failed(&E::entity(*id), error)),
                    written => drop(written?),
                }
            }
            after = last;
        }
    }
}
