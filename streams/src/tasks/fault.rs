//! A panic in the middle of a round, ordered by a test.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

const UNARMED: usize = usize::MAX;

/// Number of polls of the next round before it panics.
#[derive(Debug)]
pub(super) struct Fault(AtomicUsize);

impl Default for Fault {
    fn default() -> Self {
        Self(AtomicUsize::new(UNARMED))
    }
}

impl Fault {
    pub(super) fn arm(&self, polls: usize) {
        self.0.store(polls, Ordering::SeqCst);
    }

    /// Runs `work`; if a test has ordered a panic, panics after that many polls or when the work is done,
    /// whichever comes first.
    #[allow(clippy::panic)] // it is what was asked for
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        let polls = self.0.swap(UNARMED, Ordering::SeqCst);
        if polls == UNARMED {
            return work.await;
        }
        let (mut work, mut polled) = (pin!(work), 0);
        std::future::poll_fn(|context| {
            if polled >= polls || work.as_mut().poll(context).is_ready() {
                panic!("panic ordered by a test");
            }
            polled += 1;
            Poll::Pending
        })
        .await
    }
}
