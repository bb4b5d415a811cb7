//! The messages that a worker holds, which count against its limits in number and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Bytes of payloads above which a worker requests no more.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The limits of a worker and their use.
#[derive(Debug)]
pub(super) struct Hand {
    most: usize,
    messages: AtomicUsize,
    bytes: AtomicUsize,
    freed: Notify,
}

/// A message's share of its worker's limits. Dropping it makes room for another; the message stays with this
/// worker until its handler returns.
#[derive(Debug)]
pub struct Held {
    hand: Arc<Hand>,
    bytes: usize,
}

impl Hand {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let (messages, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { most: most.max(1), messages, bytes, freed: Notify::new() })
    }

    /// Number of messages that can still be taken.
    pub(super) fn free(&self) -> usize {
        if self.bytes.load(Ordering::SeqCst) >= MOST_BYTES {
            return 0;
        }
        self.most.saturating_sub(self.messages.load(Ordering::SeqCst))
    }

    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Held {
        self.messages.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        Held { hand: self.clone(), bytes }
    }

    /// Waits until a message was released since this last returned.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hand.messages.fetch_sub(1, Ordering::SeqCst);
        self.hand.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.hand.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::{Hand, MOST_BYTES};

    #[test]
    fn both_limits_hold_and_what_is_let_go_counts_no_more() {
        let hand = Hand::new(2);
        let (small, large) = (hand.take(1), hand.take(MOST_BYTES));
        assert_eq!(hand.free(), 0);
        drop(small);
        assert_eq!(hand.free(), 0, "the bytes of the other one are too many by themselves");
        drop(large);
        assert_eq!(hand.free(), 2);
    }
}
