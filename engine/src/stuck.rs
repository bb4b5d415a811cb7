//! What fails again and again, and would hold up others: how often, why, and until when it is passed over.
//!
//! Errors that pass are not counted here: they are nobody's fault. The rest is kept in memory by each engine for itself, so that a
//! restart, perhaps of another version, tries all of it once more. `doctor` shows it.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Select};
use uuid::Uuid;

use crate::entities::commanded::Commanded;
use crate::writer::{Error, Hope};

/// Tries at what fails for a reason that nobody knows to be passing.
pub(crate) const TRIES: u32 = 5;
/// Things that are kept; beyond it the one that failed longest ago is forgotten, and so tried again.
const MOST: usize = 1_000;
/// The first time that something is passed over for, in milliseconds; each is twice as long as the one before.
const FIRST_MS: i64 = 5_000;
/// The longest.
const LONGEST_MS: i64 = 3_600_000;
/// Bytes of a reason that are kept.
const LONGEST_WHY: usize = 500;

/// Something that fails.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// As `session:<id>` or `SS_REPORTS/17`.
    pub(crate) about: String,
    pub(crate) tries: u32,
    pub(crate) why: String,
    /// It is passed over until then, by the database's clock; 0 where it is not.
    pub(crate) until_ms: i64,
    /// When it failed last, in the order of failures.
    last: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    items: Mutex<State>,
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    items: HashMap<String, Item>,
    failures: u64,
}

impl Stuck {
    fn state(&self) -> MutexGuard<'_, State> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner) // every change of it is whole
    }

    /// It failed; says how often that was now.
    pub(crate) fn failed(&self, about: &str, why: impl Display) -> u32 {
        self.note(about, why, |_| 0)
    }

    /// It failed, and is passed over for a while from `now_ms` on; says how often that was now.
    pub(crate) fn pass_over(&self, about: &str, why: impl Display, now_ms: i64) -> u32 {
        let tries = self.note(about, &why, |tries| now_ms + pause_ms(tries));
        if tries == 1 {
            tracing::error!(about, %why, "fails, and is passed over for a while; `streamspace doctor` shows it");
        }
        tries
    }

    fn note(&self, about: &str, why: impl Display, until: impl FnOnce(u32) -> i64) -> u32 {
        let mut state = self.state();
        state.failures += 1;
        let last = state.failures;
        if state.items.len() >= MOST && !state.items.contains_key(about) {
            let oldest = state.items.values().min_by_key(|item| item.last).map(|item| item.about.clone());
            oldest.map(|oldest| state.items.remove(&oldest));
        }
        let new = || Item { about: about.to_owned(), tries: 0, why: String::new(), until_ms: 0, last };
        let item = state.items.entry(about.to_owned()).or_insert_with(new);
        item.tries = item.tries.saturating_add(1);
        item.why = why.to_string().chars().take(LONGEST_WHY).collect();
        item.until_ms = until(item.tries);
        item.last = last;
        let tries = item.tries;
        self.count.store(state.items.len(), Ordering::Release);
        tries
    }

    /// It was done.
    pub(crate) fn done(&self, about: impl FnOnce() -> String) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut state = self.state();
        state.items.remove(&about());
        self.count.store(state.items.len(), Ordering::Release);
    }

    /// Whether it is passed over now.
    pub(crate) fn is_passed_over(&self, about: &str, now_ms: i64) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.state().items.get(about).is_some_and(|item| item.until_ms > now_ms)
    }

    /// Takes those out of a selection that are passed over now.
    pub(crate) fn without<E: Commanded>(&self, rows: Select<E>, now_ms: i64) -> Select<E> {
        let ids = self.ids::<E>(now_ms);
        if ids.is_empty() { rows } else { rows.filter(E::KEY.is_not_in(ids)) }
    }

    fn ids<E: EntityTrait + Commanded>(&self, now_ms: i64) -> Vec<Uuid> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let state = self.state();
        let items = state.items.values().filter(|item| item.until_ms > now_ms);
        items.filter_map(|item| E::named(&item.about)).collect()
    }

    /// What came of a piece of the engine's own work; whatever fails for good, or too often, is passed over. False where it has to be
    /// tried again soon.
    pub(crate) fn settled<T>(&self, about: impl FnOnce() -> String, written: Result<T, Error>, now_ms: i64) -> bool {
        match written {
            Ok(_) => {
                self.done(about);
                true
            }
            Err(error) if error.hope() == Hope::Passes => false,
            Err(error) => {
                self.pass_over(&about(), error, now_ms);
                true
            }
        }
    }

    /// All of it, what failed most often first.
    pub(crate) fn all(&self) -> Vec<Item> {
        let mut all: Vec<Item> = self.state().items.values().cloned().collect();
        all.sort_unstable_by(|a, b| (b.tries, &a.about).cmp(&(a.tries, &b.about)));
        all
    }
}

fn pause_ms(tries: u32) -> i64 {
    FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::session;

    #[test]
    fn what_fails_is_passed_over_for_longer_each_time_but_never_for_ever() {
        let (stuck, id) = (Stuck::default(), Uuid::now_v7());
        let about = session::Entity::entity(id);
        assert!(!stuck.is_passed_over(&about, 0));
        stuck.pass_over(&about, "no", 1_000);
        assert!(stuck.is_passed_over(&about, 5_999) && !stuck.is_passed_over(&about, 6_000));
        assert_eq!(stuck.ids::<session::Entity>(1_000), [id]);
        (0..99).for_each(|_| _ = stuck.pass_over(&about, "no", 1_000));
        assert!(stuck.is_passed_over(&about, LONGEST_MS + 999) && !stuck.is_passed_over(&about, LONGEST_MS + 1_000));
        stuck.done(|| about.clone());
        assert!(stuck.all().is_empty() && stuck.ids::<session::Entity>(1_000).is_empty());
    }

    #[test]
    fn what_failed_longest_ago_makes_room() {
        let stuck = Stuck::default();
        (0..MOST + 2).for_each(|n| _ = stuck.failed(&n.to_string(), "no"));
        let all = stuck.all();
        assert!(all.len() == MOST && !all.iter().any(|item| ["0", "1"].contains(&item.about.as_str())));
        assert_eq!(stuck.failed("2", "no"), 2);
    }
}
