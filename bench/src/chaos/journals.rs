//! What the controllers did, from their journals, which no engine writes.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Result;
use chrono::{DateTime, Utc};
use driver_noop as noop;
use streams::wire::SessionState;
use uuid::Uuid;

/// A period during which a controller held a session; it ends with the session.
#[derive(Debug)]
struct Stay {
    controller: &'static str,
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    state: SessionState,
}

/// All controllers, from their start.
#[derive(Debug, Default)]
pub(super) struct Journals {
    stays: HashMap<Uuid, Vec<Stay>>,
}

impl Journals {
    /// Reads every journal.
    ///
    /// # Errors
    /// A journal cannot be read.
    pub(super) fn read(journals: impl Iterator<Item = (&'static str, PathBuf)>) -> Result<Self> {
        let mut all = Self::default();
        for (controller, path) in journals {
            for effect in noop::history(&path)? {
                all.note(controller, &effect);
            }
        }
        Ok(all)
    }

    fn note(&mut self, controller: &'static str, effect: &noop::Effect) {
        let stays = self.stays.entry(effect.session_id).or_default();
        let present = stays.iter_mut().rfind(|stay| stay.controller == controller && stay.until.is_none());
        match (present, effect.became) {
            (Some(stay), Some((_, state))) => stay.state = state,
            (Some(stay), None) => stay.until = Some(effect.at),
            (None, Some((_, state))) => stays.push(Stay { controller, from: effect.at, until: None, state }),
            (None, None) => {}
        }
    }

    /// The controllers that hold a session now, with its state there.
    #[must_use]
    pub(super) fn of(&self, session: Uuid) -> Vec<(&'static str, SessionState)> {
        let stays = self.stays.get(&session).into_iter().flatten();
        stays.filter(|stay| stay.until.is_none()).map(|stay| (stay.controller, stay.state)).collect()
    }

    /// All sessions that exist now.
    pub(super) fn all(&self) -> impl Iterator<Item = (Uuid, &'static str, SessionState)> {
        self.stays.keys().flat_map(|id| self.of(*id).into_iter().map(|(controller, state)| (*id, controller, state)))
    }

    /// Sessions that two controllers held at the same time.
    pub(super) fn doubled(&self) -> impl Iterator<Item = String> {
        self.stays.iter().filter(|(_, stays)| overlap(stays)).map(|(id, stays)| format!("session {id}: {stays:?}"))
    }
}

fn overlap(stays: &[Stay]) -> bool {
    let before = |one: &Stay, other: &Stay| one.until.is_some_and(|until| until <= other.from);
    let apart = |one: &Stay, other: &Stay| before(one, other) || before(other, one);
    stays.iter().enumerate().any(|(n, one)| stays[..n].iter().any(|other| !apart(one, other)))
}
