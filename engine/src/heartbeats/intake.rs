//! Heartbeats that wait to be written: the newest of each controller, and those of known controllers before all others.
//!
//! Anybody on the bus can publish heartbeats, faster than a database commits. So receiving them never waits for the database:
//! a newer beat takes the place of an older one of the same controller, and of ids without a row only so many may wait. A flood of
//! made-up ids then costs a bounded map and delays nobody who is known.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use streams::wire::Heartbeat;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::store::controller;
use crate::writer;

/// Beats of ids without a row, and of known ids in another's world, that may wait; more are dropped and counted.
pub(super) const STRANGERS: usize = 256;
/// Of these, how many are written at a time, beside any number of known controllers.
pub(super) const STRANGERS_AT_ONCE: usize = 16;
/// Senders of one waiting beat that are answered; older ones ask again with their next beat.
const REPLIES: usize = 8;

/// A beat that waits, and where its senders expect the answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) beat: Box<Heartbeat>,
    /// It came on the subject that names its sender.
    pub(super) own_subject: bool,
    /// As it came.
    pub(super) payload: Bytes,
    pub(super) replies: Vec<async_nats::Subject>,
}

/// What became of a beat that came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// It will be written.
    Waits,
    /// It took the place of an older one, which will not be written.
    Replaced,
    /// Too many of ids that are not known wait already.
    Dropped,
}

/// A known controller, as far as a beat can be told apart from an impostor's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Registered {
    platform: String,
    world_id: Option<Uuid>,
    durable: bool,
    own_subject: bool,
}

/// Whose turn a beat is. An impostor's beat never takes the place of the controller's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    controller_id: String,
    own: bool,
}

#[derive(Debug, Default)]
struct State {
    registered: HashMap<String, Registered>,
    waiting: HashMap<Key, Waiting>,
    own: VecDeque<Key>,
    strangers: VecDeque<Key>,
}

/// What waits; shared by who receives and who writes.
#[derive(Debug, Default)]
pub(super) struct Intake {
    state: Mutex<State>,
    arrived: Notify,
}

impl Intake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a beat; never waits.
    pub(super) fn receive(
        &self,
        beat: Box<Heartbeat>,
        own_subject: bool,
        payload: Bytes,
        reply: Option<async_nats::Subject>,
    ) -> Received {
        let received = self.state().receive(beat, own_subject, payload, reply);
        if received == Received::Waits {
            self.arrived.notify_one();
        }
        received
    }

    /// Waits for a beat that can be taken.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// The next beats to write: those of known controllers first. Where more wait, [`Intake::arrived`] returns at once.
    pub(super) fn take(&self) -> Vec<Waiting> {
        let mut state = self.state();
        let own = writer::BATCH.min(state.own.len());
        let strangers = STRANGERS_AT_ONCE.min(state.strangers.len());
        let mut keys: Vec<Key> = state.own.drain(..own).collect();
        keys.extend(state.strangers.drain(..strangers));
        let taken = keys.iter().filter_map(|key| state.waiting.remove(key)).collect();
        if !state.waiting.is_empty() {
            self.arrived.notify_one();
        }
        taken
    }

    /// Whether a beat of this controller itself waits, so that it is not silent whatever its row says.
    pub(super) fn is_waiting(&self, controller_id: &str) -> bool {
        self.state().waiting.contains_key(&Key { controller_id: controller_id.to_owned(), own: true })
    }

    /// One controller is known now.
    pub(super) fn register(&self, row: &controller::Model) {
        if row.admitted {
            self.state().registered.insert(row.controller_id.clone(), Registered::of(row));
        }
    }

    /// All that are known.
    pub(super) fn registered<'a>(&self, rows: impl Iterator<Item = &'a controller::Model>) {
        let mut state = self.state();
        state.registered =
            rows.filter(|row| row.admitted).map(|row| (row.controller_id.clone(), Registered::of(row))).collect();
    }
}

impl Registered {
    fn of(row: &controller::Model) -> Self {
        let (durable, own_subject) = (row.protocol >= 2, row.own_subject);
        Self { platform: row.platform.clone(), world_id: row.world_id, durable, own_subject }
    }

    /// Whether a beat can be this controller's own.
    fn sent(&self, beat: &Heartbeat, own_subject: bool) -> bool {
        self.platform == beat.platform
            && self.world_id.is_none_or(|world| beat.world_id == Some(world))
            && self.durable == beat.protocol.is_some_and(|protocol| protocol >= 2)
            && (own_subject || !self.own_subject)
    }
}

impl State {
    fn receive(
        &mut self,
        beat: Box<Heartbeat>,
        own_subject: bool,
        payload: Bytes,
        reply: Option<async_nats::Subject>,
    ) -> Received {
        let own = self.registered.get(&beat.controller_id).is_some_and(|known| known.sent(&beat, own_subject));
        let key = Key { controller_id: beat.controller_id.clone(), own };
        if let Some(waiting) = self.waiting.get_mut(&key) {
            (waiting.beat, waiting.own_subject, waiting.payload) = (beat, own_subject, payload);
            waiting.replies.extend(reply);
            let excess = waiting.replies.len().saturating_sub(REPLIES);
            waiting.replies.drain(..excess);
            return Received::Replaced;
        }
        if !own && self.strangers.len() >= STRANGERS {
            return Received::Dropped;
        }
        if own { &mut self.own } else { &mut self.strangers }.push_back(key.clone());
        self.waiting.insert(key, Waiting { beat, own_subject, payload, replies: reply.into_iter().collect() });
        Received::Waits
    }
}

/// What is remembered of controllers' runs, without those that have no row any more.
pub(super) fn forget<T>(runs: &mut HashMap<String, T>, known: &HashSet<&str>) {
    runs.retain(|id, _| known.contains(id.as_str()));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the answer
mod tests {
    use super::*;

    fn beat(id: &str, version: &str, world: Option<Uuid>) -> Box<Heartbeat> {
        let json = serde_json::json!({
            "controller_id": id, "platform": "noop", "timestamp": "2026-01-01T00:00:00Z", "status": "healthy",
            "version": version, "world_id": world,
        });
        Box::new(serde_json::from_value(json).unwrap())
    }

    fn knowing(id: &str, world_id: Option<Uuid>) -> Intake {
        let intake = Intake::default();
        let known = Registered { platform: "noop".into(), world_id, durable: false, own_subject: false };
        intake.state().registered.insert(id.into(), known);
        intake
    }

    fn versions(taken: &[Waiting]) -> Vec<&str> {
        taken.iter().map(|waiting| waiting.beat.version.as_str()).collect()
    }

    #[test]
    fn a_newer_beat_takes_the_place_of_an_older_one_and_all_who_asked_are_answered() {
        let intake = knowing("host-1", None);
        assert_eq!(intake.receive(beat("host-1", "1", None), false, Bytes::new(), Some("a".into())), Received::Waits);
        assert_eq!(
            intake.receive(beat("host-1", "2", None), false, Bytes::new(), Some("b".into())),
            Received::Replaced
        );
        let taken = intake.take();
        assert_eq!(versions(&taken), ["2"]);
        assert_eq!(taken[0].replies.len(), 2);
        assert!(intake.take().is_empty());
    }

    #[test]
    fn twenty_thousand_made_up_ids_neither_fill_memory_nor_stand_before_a_known_controller() {
        let intake = knowing("host-1", None);
        let dropped = (0..20_000)
            .filter(|n| {
                intake.receive(beat(&format!("fake-{n}"), "x", None), false, Bytes::new(), None) == Received::Dropped
            })
            .count();
        assert_eq!(dropped, 20_000 - STRANGERS);
        assert_eq!(intake.receive(beat("host-1", "1", None), false, Bytes::new(), None), Received::Waits);
        let taken = intake.take();
        assert_eq!(taken[0].beat.controller_id, "host-1");
        assert_eq!(taken.len(), 1 + STRANGERS_AT_ONCE);
    }

    #[test]
    fn an_impostors_beat_never_takes_the_place_of_the_controllers_own() {
        let (world, other) = (Uuid::now_v7(), Uuid::now_v7());
        let intake = knowing("host-1", Some(world));
        intake.receive(beat("host-1", "own", Some(world)), false, Bytes::new(), None);
        intake.receive(beat("host-1", "other", Some(other)), false, Bytes::new(), None);
        intake.receive(beat("host-1", "none", None), false, Bytes::new(), None);
        assert!(intake.is_waiting("host-1"));
        assert_eq!(versions(&intake.take()), ["own", "none"]);
        assert!(!intake.is_waiting("host-1"));
    }

    #[test]
    fn who_asks_again_and_again_is_answered_a_bounded_number_of_times() {
        let intake = knowing("host-1", None);
        for n in 0..1_000 {
            let _ = intake.receive(beat("host-1", "1", None), false, Bytes::new(), Some(format!("r{n}").into()));
        }
        assert_eq!(intake.take()[0].replies.len(), REPLIES);
    }
}
