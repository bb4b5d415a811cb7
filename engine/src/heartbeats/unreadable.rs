//! Heartbeats that cannot be read: each content becomes one message of the dead-letter stream at a time, with how often it came.
//!
//! They are in no stream, so nothing holds them back but this: a broken controller sends the same bytes every few seconds for days,
//! and a stranger sends anything as fast as the network takes it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use streams::parking::{Letter, Parker, REPEATS};
use tokio::sync::Notify;
use uuid::Uuid;

/// Different contents that may wait to be parked; more are dropped and counted.
pub(super) const CONTENTS: usize = 32;
/// The least time between two rounds of parking, so that the same content becomes a message a second at most.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

type Content = [u8; 32];

/// What waits to be parked, and how often each of it came.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    waiting: Mutex<HashMap<Content, (Letter, u64)>>,
    arrived: Notify,
}

impl Unreadable {
    /// Takes in what cannot be read; false where too much waits already.
    pub(super) fn receive(&self, subject: &str, payload: Bytes, reason: &str, why: String) -> bool {
        let content = content(subject, &payload, reason, &why);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = waiting.get_mut(&content) {
            *count += 1;
            return true;
        }
        if waiting.len() >= CONTENTS {
            return false;
        }
        let letter = Letter {
            subject: subject.to_owned(),
            payload,
            message_id: format!("dlq:core:{}", Uuid::now_v7()),
            reason: reason.to_owned(),
            error: why,
            ..Letter::default()
        };
        waiting.insert(content, (letter, 1));
        drop(waiting);
        self.arrived.notify_one();
        true
    }

    fn take(&self) -> Vec<Letter> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = |(mut letter, count): (Letter, u64)| {
            letter.headers.push((REPEATS.to_owned(), count.to_string()));
            letter
        };
        waiting.drain().map(|(_, one)| counted(one)).collect()
    }

    /// Parks what comes, for ever. What cannot be parked now is lost: its sender says it again.
    pub(super) async fn park(&self, parker: &Parker) {
        loop {
            self.arrived.notified().await;
            for letter in self.take() {
                if let Err(error) = parker.park_letter(letter).await {
                    tracing::warn!(%error, "a heartbeat that cannot be read could not be parked");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What is the same: what one sender says with the same mistake, whatever the time in it; else the same bytes.
fn content(subject: &str, payload: &[u8], reason: &str, why: &str) -> Content {
    let said = (payload.len() <= super::LARGEST).then(|| serde_json::from_slice::<Value>(payload).ok());
    let sender = said.flatten().and_then(|said| said.get("controller_id").map(Value::to_string));
    let mistake: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
    let mut hash = Sha256::new();
    for part in [subject, reason, &mistake] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    match &sender {
        Some(sender) => hash.update(sender.as_bytes()),
        None => hash.update(payload),
    }
    hash.finalize().into()
}
