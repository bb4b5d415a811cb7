//! What happens when callers wait for a session: they are told of it with the commit that changes it, and need not read.
//!
//! Only sessions that somebody waits for are kept here, for as long as somebody does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use crate::signal::Wakes;
use crate::store::session;

type Told = Option<session::Model>;

/// The sessions that are waited for.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<HashMap<Uuid, watch::Sender<Told>>>);

impl Watched {
    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<Told>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // every change of the map is whole
    }

    /// Those of these rows that are waited for.
    pub(crate) fn among<'a>(&self, rows: impl Iterator<Item = &'a session::Model>) -> Vec<session::Model> {
        let all = self.all();
        if all.is_empty() {
            return Vec::new();
        }
        rows.filter(|row| all.contains_key(&row.session_id)).cloned().collect()
    }

    /// They are committed.
    pub(crate) fn tell(&self, rows: Vec<session::Model>) {
        let all = self.all();
        for row in rows {
            if let Some(watchers) = all.get(&row.session_id) {
                watchers.send_replace(Some(row));
            }
        }
    }
}

/// One caller who waits for a session.
#[derive(Debug)]
pub struct Watch {
    session_id: Uuid,
    told: watch::Receiver<Told>,
    others: watch::Receiver<u64>,
    wakes: Arc<Wakes>,
}

impl Watch {
    pub(crate) fn of(session_id: Uuid, wakes: Arc<Wakes>) -> Self {
        let told = wakes.watched.all().entry(session_id).or_default().subscribe();
        Self { session_id, told, others: wakes.others.subscribe(), wakes }
    }

    /// Whose.
    #[must_use]
    pub fn session_id(&self) -> Uuid {
        self.session_id
    }

    /// Whether this engine has committed something since it is watched. Where it has not, something may have come before.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.told.has_changed().unwrap_or(false)
    }

    /// What happened since it was last asked; of several commits of this engine the newest.
    pub async fn next(&mut self) -> News {
        loop {
            tokio::select! {
                () = changed(&mut self.told) => {}
                () = changed(&mut self.others) => return News::Others,
            }
            if let Some(row) = self.told.borrow_and_update().clone() {
                return News::Row(Box::new(row));
            }
        }
    }
}

/// What one who waits is told.
#[derive(Debug)]
pub enum News {
    /// The session, as this engine has committed it.
    Row(Box<session::Model>),
    /// Another engine on the same database has committed something, maybe this.
    Others,
}

/// The sender lives as long as the watch, which keeps the engine's wakes.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut all = self.wakes.watched.all();
        if all.get(&self.session_id).is_some_and(|watchers| watchers.receiver_count() <= 1) {
            all.remove(&self.session_id);
        }
    }
}
