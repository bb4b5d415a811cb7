//! The newest generation that this run has seen of each session, above all of those that are gone: the world remembers
//! what exists, but only this remembers that a late `create` is for something deleted since.
//!
//! It is a courtesy, not the guarantee: after a restart the engine finds what a late command revived, and deletes it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

/// Deleted sessions that are remembered, some megabytes' worth.
const REMEMBERED: usize = 65_536;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) generation: i64,
    pub(super) deleted: bool,
}

#[derive(Default)]
struct Known {
    last: HashMap<Uuid, Last>,
    deleted: VecDeque<Uuid>,
}

#[derive(Default)]
pub(super) struct Seen(Mutex<Known>);

impl Seen {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last(&self, session: Uuid) -> Option<Last> {
        self.known().last.get(&session).copied()
    }

    pub(super) fn note(&self, session: Uuid, generation: i64, deleted: bool) {
        let mut known = self.known();
        let before = known.last.insert(session, Last { generation, deleted });
        if deleted && before.is_none_or(|last| !last.deleted) {
            known.deleted.push_back(session);
        }
        while known.deleted.len() > REMEMBERED {
            if let Some(oldest) = known.deleted.pop_front()
                && known.last.get(&oldest).is_some_and(|last| last.deleted)
            {
                known.last.remove(&oldest);
            }
        }
    }
}
