//! How many commands are carried out at the same time, by kind: what ends something never waits for what starts something.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::report::Stopped;

/// Stops and deletes that a controller carries out at the same time, each, as a multiple of its slots.
const ENDS_PER_SLOT: usize = 4;
/// The least of that.
const LEAST_ENDS: usize = 64;

/// What a command does to its controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// It brings something up: it takes one of the configured slots.
    Starts,
    /// It stops and keeps.
    Stops,
    /// It removes.
    Deletes,
}

/// The right to be carried out now; dropping it lets the next one begin.
pub(super) type Slot = OwnedSemaphorePermit;

pub(super) struct Lanes {
    starts: Arc<Semaphore>,
    stops: Arc<Semaphore>,
    deletes: Arc<Semaphore>,
    /// Nothing begins any more.
    stopping: CancellationToken,
}

impl Lanes {
    pub(super) fn new(slots: usize, stopping: CancellationToken) -> Self {
        let slots = slots.clamp(1, Semaphore::MAX_PERMITS / ENDS_PER_SLOT);
        let of = |permits: usize| Arc::new(Semaphore::new(permits));
        let ends = (slots * ENDS_PER_SLOT).max(LEAST_ENDS);
        Self { starts: of(slots), stops: of(ends), deletes: of(ends), stopping }
    }

    /// Waits for a slot of the lane, first come first served.
    ///
    /// # Errors
    /// [`Stopped`] where the controller is told to stop before.
    pub(super) async fn enter(&self, lane: Lane) -> Result<Slot, Stopped> {
        let lane = match lane {
            Lane::Starts => &self.starts,
            Lane::Stops => &self.stops,
            Lane::Deletes => &self.deletes,
        };
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Stopped),
            slot = lane.clone().acquire_owned() => slot.map_err(|_| Stopped), // nobody closes it
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CancellationToken, Lane, Lanes};

    #[tokio::test]
    async fn ends_find_a_slot_while_starts_hold_all_of_theirs() {
        let stopping = CancellationToken::new();
        let lanes = Lanes::new(1, stopping.clone());
        let start = lanes.enter(Lane::Starts).await;
        assert!(start.is_ok());
        let next = lanes.enter(Lane::Starts);
        tokio::pin!(next);
        assert!(futures::poll!(&mut next).is_pending());
        let ends = (lanes.enter(Lane::Stops).await, lanes.enter(Lane::Deletes).await);
        assert!(ends.0.is_ok() && ends.1.is_ok());
        drop(start);
        assert!(next.await.is_ok());
        stopping.cancel();
        assert!(lanes.enter(Lane::Deletes).await.is_err(), "a stop lets nothing begin");
    }
}
