//! Remembers reconnects and the server's last error before them: a server that cuts the connection repeatedly
//! has a reason.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Number of reconnects that are remembered individually.
const MOST: usize = 64;

/// The history of a connection. Clones share it.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // every change is a single step
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

    /// Number of reconnects so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state().count
    }

    /// Number of reconnects within this time (at most 64), and the server's last error within it.
    #[must_use]
    pub fn within(&self, time: Duration) -> (usize, Option<String>) {
        let state = self.state();
        let recent = state.times.iter().filter(|at| at.elapsed() <= time).count();
        let said = state.said.as_ref().filter(|(at, _)| at.elapsed() <= time).map(|(_, said)| said.clone());
        (recent, said)
    }
}
