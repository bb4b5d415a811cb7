//! What is told once a transaction is committed.

use std::collections::HashMap;

use uuid::Uuid;

use crate::relay::Pending;

/// A row of the log, by event id and direction, that is there if and only if its transaction was committed.
pub(crate) type Witness = (Uuid, &'static str);

/// What a commit means to the rest of the engine.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) outbox: bool,
    /// Dead letters were recorded whose public copy is to be published.
    pub(crate) copies: bool,
    /// Commands ended or were begun, so that their controllers have room again.
    pub(crate) ended: bool,
    /// Commands that came to wait for the relay, less those that it published.
    pub(crate) queued: i64,
    /// The earliest time at which something that was written is to be looked at, in milliseconds.
    pub(crate) timers: Option<i64>,
    pub(crate) placement: bool,
    /// Sessions gave back their places, or a controller has more.
    pub(crate) freed: bool,
    /// Sessions wait for a place.
    pub(crate) awaits_room: bool,
    pub(crate) jobs: bool,
    /// Commands that go to the relay as they are, by their controllers.
    pub(crate) handed: Vec<(String, Pending)>,
    /// Commands of whose publication all is written.
    pub(crate) told: Vec<Uuid>,
    /// It was written of some commands that they were published.
    pub(crate) marked: bool,
    /// A row by which the commit can be recognised.
    pub(crate) witness: Option<Witness>,
    /// Reports by controller.
    pub(crate) processed: HashMap<String, u64>,
    /// Seconds from a command's creation to its end.
    pub(crate) latencies: Vec<f64>,
    /// Controllers and whether they take work.
    pub(crate) health: Vec<(String, String, bool)>,
}

impl Outcome {
    /// A row was written that has a timer.
    pub(super) fn wakes_at(&mut self, wake_ms: Option<i64>) {
        self.timers = self.timers.into_iter().chain(wake_ms).min();
    }
}
