//! What happens when a request is sent twice: the answer is kept under its key, in the transaction that accepted it, and the
//! same request is answered with it again.
//!
//! The key of a request travels beside the work, as its trace does: whoever takes the request opens a scope with
//! [`Key::scope`], and the first piece of work that is submitted inside takes it. So a request that becomes one piece of work
//! has one effect, however often it comes, and through however many engines. What is refused is not kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::{Done, Error, Job};
use crate::store::bulk::{Insert, all_values, padded};
use crate::store::idempotency_key::{Column, Entity, Model};
use crate::store::text::Text;

/// How long an answer is kept, in milliseconds.
pub const KEPT_MS: i64 = 24 * 3_600_000;
/// Time between two looks for answers that are too old, in milliseconds.
const SWEEP_MS: i64 = 3_600_000;
/// Answers that one look forgets at most; where there are more, the next transaction looks again.
const SWEEP: u64 = 500;

static INSERT: LazyLock<Insert> = LazyLock::new(|| Insert::of::<Entity>("idempotency_keys", &[]));

tokio::task_local! {
    static CURRENT: Key;
}

/// The key of one request, and whose it is.
#[derive(Debug, Clone)]
pub struct Key(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    principal: String,
    key: String,
    request_hash: String,
    /// A piece of work has taken it.
    taken: AtomicBool,
    /// The answer was one that was kept.
    replayed: AtomicBool,
}

impl Key {
    /// The key that `principal` gave to the request with this hash.
    #[must_use]
    pub fn new(principal: String, key: String, request_hash: String) -> Self {
        let (taken, replayed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Parts { principal, key, request_hash, taken, replayed }))
    }

    /// Does the work of a request under its key.
    pub async fn scope<F: Future>(&self, request: F) -> F::Output {
        CURRENT.scope(self.clone(), request).await
    }

    /// Whether the request got an answer that was kept.
    #[must_use]
    pub fn replayed(&self) -> bool {
        self.0.replayed.load(Relaxed)
    }

    /// The key of the request that is being worked on, unless a piece of work has it already.
    pub(super) fn take() -> Option<Self> {
        CURRENT.try_with(|key| (!key.0.taken.swap(true, Relaxed)).then(|| key.clone())).ok().flatten()
    }

    /// The answer that is kept under the key of the request that is being worked on.
    pub(super) async fn answered(db: &impl ConnectionTrait, now_ms: i64) -> Result<Option<Done>, Error> {
        let Ok(key) = CURRENT.try_with(Clone::clone) else { return Ok(None) };
        let kept = Entity::find_by_id((key.0.principal.clone(), key.0.key.clone())).one(db).await?;
        kept.filter(|kept| kept.created_ms > now_ms - KEPT_MS).map(|kept| key.replay(&kept)).transpose()
    }

    /// Whether there is a key to look up at all.
    pub(super) fn is_given() -> bool {
        CURRENT.try_with(|_| ()).is_ok()
    }

    fn id(&self) -> (String, String) {
        (self.0.principal.clone(), self.0.key.clone())
    }

    fn replay(&self, kept: &Model) -> Result<Done, Error> {
        if kept.request_hash != self.0.request_hash {
            return Err(Error::KeyReused(self.0.key.clone()));
        }
        let done = streams::limits::json::stored(kept.answer.as_str().as_bytes()).map_err(|error| {
            Error::Unreadable(
                format!("the answer under the idempotency key was kept by another version: {error}").into(),
            )
        })?;
        self.0.replayed.store(true, Relaxed);
        Ok(done)
    }
}

/// The kept answers that one transaction may need, and those that it adds.
#[derive(Debug, Default)]
pub(super) struct Keys {
    kept: HashMap<(String, String), Model>,
    /// Too old to count; their places are needed.
    stale: Vec<(String, String)>,
    fresh: Vec<Model>,
}

impl Keys {
    pub(super) async fn load(tx: &DatabaseTransaction, jobs: &[Job], now_ms: i64) -> Result<Self, DbErr> {
        let mut keys = Self::default();
        let mut given: HashMap<String, Vec<String>> = HashMap::new();
        for (principal, key) in jobs.iter().filter_map(|job| job.key.as_ref()).map(Key::id) {
            given.entry(principal).or_default().push(key);
        }
        for (principal, given) in given {
            let mine = Entity::find().filter(Column::Principal.eq(principal)).filter(Column::Key.is_in(padded(given)));
            for row in mine.all(tx).await? {
                let id = (row.principal.clone(), row.key.clone());
                if row.created_ms > now_ms - KEPT_MS {
                    keys.kept.insert(id, row);
                } else {
                    keys.stale.push(id);
                }
            }
        }
        Ok(keys)
    }

    /// The answer to the same request.
    pub(super) fn answer(&self, key: &Key) -> Result<Option<Done>, Error> {
        self.kept.get(&key.id()).map(|kept| key.replay(kept)).transpose()
    }

    /// Keeps what was answered.
    pub(super) fn keep(&mut self, key: &Key, done: &Done, now_ms: i64) -> Result<(), Error> {
        let answer = Text::made(done).map_err(|error| Error::Unreadable(error.to_string().into()))?;
        let (principal, id) = key.id();
        let request_hash = key.0.request_hash.clone();
        let row = Model { principal, key: id, request_hash, answer, created_ms: now_ms };
        self.kept.insert(key.id(), row.clone());
        self.fresh.push(row);
        Ok(())
    }

    /// Writes it. Two engines that were given one key at once meet here: who is second goes again, and finds the answer.
    pub(super) async fn flush(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        for (principal, key) in self.stale.drain(..) {
            Entity::delete_by_id((principal, key)).exec(tx).await?;
        }
        let rows = self.fresh.drain(..).map(all_values::<Entity, _>).collect();
        INSERT.run(tx, rows).await.map(drop)
    }
}

/// Forgets answers that are too old, about once an hour, in a transaction that is there anyway.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    due_ms: i64,
}

impl Sweep {
    pub(super) async fn run(&mut self, tx: &DatabaseTransaction, now_ms: i64) -> Result<(), DbErr> {
        if now_ms < self.due_ms {
            return Ok(());
        }
        let old = Entity::find().filter(Column::CreatedMs.lte(now_ms - KEPT_MS));
        let old = old.order_by_asc(Column::CreatedMs).limit(SWEEP).select_only();
        let old: Vec<(String, String)> = old.column(Column::Principal).column(Column::Key).into_tuple().all(tx).await?;
        if (old.len() as u64) < SWEEP {
            self.due_ms = now_ms + SWEEP_MS;
        }
        let same = |(principal, key)| Condition::all().add(Column::Principal.eq(principal)).add(Column::Key.eq(key));
        let all = old.into_iter().map(same).fold(Condition::any(), Condition::add);
        if !all.is_empty() {
            Entity::delete_many().filter(all).exec(tx).await?;
        }
        Ok(())
    }
}
