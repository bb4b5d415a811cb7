//! Everything that the suite has heard on the wire, in the order in which it left the controller.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use streams::wire::{AppStatus, Heartbeat, NodeStatus, SessionStatus, World};
use tokio::sync::watch;

/// How a command of the durable lane was answered to JetStream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ack {
    Done,
    Progress,
    Nak,
    Term,
}

/// One message of the controller.
#[derive(Debug, Clone)]
pub(crate) enum Heard {
    Session(SessionStatus),
    App(AppStatus),
    Node(NodeStatus),
    Inventory(World),
    Template,
    /// Whether it was sent as a request.
    Heartbeat(Heartbeat, bool),
    /// A message of the command stream, by its sequence.
    Ack(u64, Ack),
    /// A parked message, by its original subject.
    DeadLetter(String),
    /// A report that is none, and why.
    Unreadable(String),
}

/// A message with its subject and its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) subject: String,
    pub(crate) payload: bytes::Bytes,
    pub(crate) heard: Heard,
}

/// All messages so far.
#[derive(Debug)]
pub(crate) struct Book {
    entries: Mutex<Vec<Entry>>,
    length: watch::Sender<usize>,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self { entries: Mutex::default(), length: watch::Sender::new(0) }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, entry: Entry) {
        let mut entries = self.entries();
        entries.push(entry);
        self.length.send_replace(entries.len());
    }

    /// The number of messages so far: what is heard later comes after it.
    pub(crate) fn mark(&self) -> usize {
        self.entries().len()
    }

    /// Looks at every message after a mark.
    pub(crate) fn each(&self, since: usize, mut look: impl FnMut(usize, &Entry)) {
        for (index, entry) in self.entries().iter().enumerate().skip(since) {
            look(index, entry);
        }
    }

    /// The first message after a mark that is wanted.
    pub(crate) fn find<T>(&self, since: usize, want: impl Fn(&Heard) -> Option<T>) -> Option<T> {
        self.entries().iter().skip(since).find_map(|entry| want(&entry.heard))
    }

    /// The newest message that is wanted.
    pub(crate) fn newest<T>(&self, want: impl Fn(&Heard) -> Option<T>) -> Option<T> {
        self.entries().iter().rev().find_map(|entry| want(&entry.heard))
    }

    /// Waits for a message after a mark; `None` where none comes in time.
    pub(crate) async fn wait<T>(
        &self,
        since: usize,
        patience: Duration,
        want: impl Fn(&Heard) -> Option<T>,
    ) -> Option<T> {
        let mut length = self.length.subscribe();
        let found = async {
            let mut from = since;
            loop {
                let seen = *length.borrow_and_update();
                if let Some(found) = self.find(from, &want) {
                    return found;
                }
                from = from.max(seen);
                if length.changed().await.is_err() {
                    std::future::pending::<()>().await; // the sender is in here
                }
            }
        };
        tokio::time::timeout(patience, found).await.ok()
    }
}
