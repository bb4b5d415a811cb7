//! What goes from a commit to the courier without being read again, and what is not yet written down of what was published.
//!
//! A command that may go at once is handed over in memory with its commit. Its row is claimed as it is written, so that nobody takes it
//! from the outbox as well; where this engine dies before it was published, the claim passes, and the outbox has it. That is so only
//! while the outbox of its controller is empty and the controller may have more: the relay says so when it looks ([`Flight::open`]).
//!
//! That a command was published is written down with its end, where that comes soon, or else after [`LATER`]. What is lost of that with
//! the process is published again under the same message id.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use uuid::Uuid;

use super::Pending;
use crate::writer::Mark;

/// How long a command that was handed over is kept from others, in milliseconds.
pub(crate) const HANDED_MS: i64 = 5_000;
/// How long it may stay unwritten that a command was published.
pub(super) const LATER: Duration = Duration::from_millis(50);

/// The commands of this engine that are between their commit and the note that they were published.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    state: Mutex<State>,
    /// Commands were handed over.
    pub(super) handed: Notify,
    /// Some were published.
    pub(super) published: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many more commands may be handed over for each controller, before its outbox is looked at again.
    room: HashMap<String, i64>,
    handed: VecDeque<Pending>,
    unwritten: HashMap<Uuid, Unwritten>,
}

#[derive(Debug)]
struct Unwritten {
    controller_id: String,
    /// Set once JetStream has it.
    mark: Option<(Mark, Instant)>,
}

/// That a command was published, and how long ago.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) mark: Mark,
    pub(crate) ago_ms: i64,
}

impl Flight {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // every change of it is whole
    }

    /// Takes a place for a command that is about to be committed; false: it goes by the outbox. What ends something needs no
    /// room.
    pub(crate) fn admits(&self, controller_id: &str, ends: bool) -> bool {
        let mut state = self.state();
        let Some(room) = state.room.get_mut(controller_id) else { return false };
        let admitted = ends || *room > 0;
        *room -= i64::from(admitted && !ends);
        admitted
    }

    /// They are committed, and claimed.
    pub(crate) fn hand(&self, commands: Vec<(String, Pending)>) {
        if commands.is_empty() {
            return;
        }
        let mut state = self.state();
        for (controller_id, command) in commands {
            state.unwritten.insert(command.event_id, Unwritten { controller_id, mark: None });
            state.handed.push_back(command);
        }
        drop(state);
        self.handed.notify_one();
    }

    /// The next commands to publish, in the order in which they were committed.
    pub(super) fn take(&self, most: usize) -> Vec<Pending> {
        let mut state = self.state();
        let some = state.handed.len().min(most);
        state.handed.drain(..some).collect()
    }

    /// JetStream has them.
    pub(super) fn sent(&self, marks: Vec<Mark>) {
        let (mut state, now) = (self.state(), Instant::now());
        for mark in marks {
            if let Some(unwritten) = state.unwritten.get_mut(&mark.event_id) {
                unwritten.mark = Some((mark, now));
            }
        }
        drop(state);
        self.published.notify_one();
    }

    /// That these were published, where that is known and not written.
    pub(crate) fn of<'a>(&self, events: impl Iterator<Item = &'a Uuid>) -> HashMap<Uuid, Published> {
        let (state, now) = (self.state(), Instant::now());
        let known = events.filter_map(|id| Some((*id, state.unwritten.get(id)?.published(now)?)));
        known.collect()
    }

    /// What has waited to be written for long enough.
    pub(crate) fn due(&self) -> Vec<Published> {
        let (state, now) = (self.state(), Instant::now());
        let due = state.unwritten.values().filter(|unwritten| unwritten.is_due(now));
        due.filter_map(|unwritten| unwritten.published(now)).collect()
    }

    /// Whether something has.
    pub(super) fn is_due(&self) -> bool {
        let (state, now) = (self.state(), Instant::now());
        state.unwritten.values().any(|unwritten| unwritten.is_due(now))
    }

    /// It is written, or means nothing any more; answers of how many.
    pub(crate) fn written<'a>(&self, events: impl Iterator<Item = &'a Uuid>) -> i64 {
        let mut state = self.state();
        events.filter(|id| state.unwritten.remove(id).is_some()).count() as i64
    }

    /// Commands of a controller that the tables take for not published.
    pub(super) fn unwritten(&self, controller_id: &str) -> i64 {
        self.state().unwritten.values().filter(|unwritten| unwritten.controller_id == controller_id).count() as i64
    }

    /// A controller's outbox is empty, and it may have so many more; or it is not, and all its commands go by it.
    pub(super) fn open(&self, controller_id: &str, room: i64) {
        self.state().room.insert(controller_id.to_owned(), room);
    }

    /// The relay begins (again). What an earlier run of it took and never answered for goes by the outbox, as soon as its claim passes.
    pub(super) fn resume(&self) {
        let mut state = self.state();
        let waiting: HashSet<Uuid> = state.handed.iter().map(|command| command.event_id).collect();
        state.unwritten.retain(|id, unwritten| unwritten.mark.is_some() || waiting.contains(id));
        state.room.clear();
        drop(state);
        self.handed.notify_one();
        self.published.notify_one();
    }

    /// All commands go by the outbox.
    pub(super) fn close(&self) {
        self.state().room.clear();
    }
}

impl Unwritten {
    fn is_due(&self, now: Instant) -> bool {
        self.mark.as_ref().is_some_and(|(_, at)| now.duration_since(*at) >= LATER)
    }

    fn published(&self, now: Instant) -> Option<Published> {
        let (mark, at) = self.mark.as_ref()?;
        let ago_ms = i64::try_from(now.duration_since(*at).as_millis()).unwrap_or(i64::MAX);
        Some(Published { mark: mark.clone(), ago_ms })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::text::Text;

    fn command() -> (String, Pending) {
        let (event_id, entity, subject) = (Uuid::now_v7(), "session:1".into(), "streamspace.session.create".into());
        let payload = Text::new(&json!({ "attempt": 1 }));
        ("a".into(), Pending { event_id, entity, subject, payload, attempt: 1, lane: None, traceparent: None })
    }

    fn mark(event_id: Uuid) -> Mark {
        Mark { event_id, attempt: 1, epoch: Some(1), seq: Some(1) }
    }

    #[test]
    fn a_controller_is_handed_no_more_than_it_may_have_until_its_outbox_was_looked_at() {
        let flight = Flight::default();
        assert!(!flight.admits("a", false), "nobody has looked");
        flight.open("a", 2);
        assert_eq!([(); 3].map(|()| flight.admits("a", false)), [true, true, false]);
        assert!(!flight.admits("b", false));
        assert!(
            flight.admits("a", true) && !flight.admits("b", true),
            "an end needs no room, but an outbox that was looked at"
        );
        flight.open("a", 1);
        flight.close();
        assert!(!flight.admits("a", false));
    }

    #[test]
    fn what_was_published_is_written_once_with_its_end_or_alone() {
        let flight = Flight::default();
        let commands = [command(), command()];
        let ids: Vec<Uuid> = commands.iter().map(|(_, command)| command.event_id).collect();
        flight.hand(commands.to_vec());
        assert_eq!((flight.take(9).len(), flight.take(9).len(), flight.unwritten("a")), (2, 0, 2));
        assert!(flight.of(ids.iter()).is_empty(), "JetStream has not answered");
        flight.sent(vec![mark(ids[0])]);
        assert_eq!(flight.of(ids.iter()).keys().collect::<Vec<_>>(), [&ids[0]]);
        assert_eq!(flight.written(ids.iter()), 2, "the second ended before JetStream's answer was heard");
        flight.sent(vec![mark(ids[1])]);
        assert!(flight.of(ids.iter()).is_empty() && flight.unwritten("a") == 0);
    }
}
