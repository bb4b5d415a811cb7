//! When the connection was made again, and what the server had said before: a server that cuts it again and again has a reason.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Reconnects that are remembered one by one.
const MOST: usize = 64;

/// What is remembered of a connection. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Reconnects(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    times: VecDeque<Instant>,
    count: u64,
    said: Option<(Instant, String)>,
}

impl Reconnects {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // every change of it is whole
    }

    pub(crate) fn again(&self) {
        let mut state = self.state();
        state.count += 1;
        if state.times.len() == MOST {
            state.times.pop_front();
        }
        state.times.push_back(Instant::now());
    }

    pub(crate) fn said(&self, error: String) {
        self.state().said = Some((Instant::now(), error));
    }

    /// How often the connection was made again, ever.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state().count
    }

    /// How often within this time (64 at most), and the last error that the server told within it.
    #[must_use]
    pub fn within(&self, time: Duration) -> (usize, Option<String>) {
        let state = self.state();
        let recent = state.times.iter().filter(|at| at.elapsed() <= time).count();
        let said = state.said.as_ref().filter(|(at, _)| at.elapsed() <= time).map(|(_, said)| said.clone());
        (recent, said)
    }
}
