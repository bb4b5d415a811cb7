//! What the relay does while JetStream does not take what it publishes: it tries a few, waits longer each time, and says so once
//! when it begins and once when it is over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{BATCH, Failed, POLL};

/// The first pause; while nothing at all is taken each is twice as long as the one before, up to [`POLL`].
const PAUSE: Duration = Duration::from_millis(500);
/// Messages that show whether any are taken again; each batch that is taken wholly lets the next be twice as large.
const PROBE: i64 = 32;

/// One kind of messages, and how it goes with them.
#[derive(Debug)]
pub(super) struct Patience {
    what: &'static str,
    most: i64,
    /// The next pause, while not all is taken.
    pause: Option<Duration>,
}

impl Patience {
    pub(super) const fn new(what: &'static str) -> Self {
        Self { what, most: BATCH, pause: None }
    }

    /// How many to try.
    pub(super) const fn most(&self) -> i64 {
        self.most
    }

    /// Everything in a batch was taken; `more` says whether more may wait behind it, and is answered.
    pub(super) fn taken(&mut self, more: bool) -> bool {
        if (!more || self.most == BATCH) && self.pause.take().is_some() {
            tracing::info!(what = self.what, "published again");
        }
        self.most = if more { (self.most * 2).min(BATCH) } else { BATCH };
        more
    }

    /// Waits after a batch of which something was not taken.
    pub(super) async fn wait(&mut self, failed: &Failed, cancel: &CancellationToken) {
        let pause = self.refused(failed);
        cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
    }

    fn refused(&mut self, Failed { why, some }: &Failed) -> Duration {
        if self.pause.is_none() {
            tracing::warn!(
                what = self.what,
                error = why,
                "not published yet; they stay in the database and are tried again"
            );
        }
        let pause = self.pause.filter(|_| !some).unwrap_or(PAUSE);
        self.pause = Some((pause * 2).min(POLL));
        self.most = PROBE;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(patience: &mut Patience, some: bool) -> u128 {
        patience.refused(&Failed { why: String::new(), some }).as_millis()
    }

    #[test]
    fn pauses_grow_while_nothing_is_taken_and_begin_anew_with_what_is() {
        let mut patience = Patience::new("commands");
        let pauses: Vec<u128> = (0..6).map(|_| refused(&mut patience, false)).collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!((refused(&mut patience, true), refused(&mut patience, false)), (500, 1_000));
    }

    #[test]
    fn it_is_over_with_a_whole_batch_or_when_nothing_is_left() {
        let mut patience = Patience::new("commands");
        refused(&mut patience, false);
        let tried: Vec<i64> = std::iter::repeat_with(|| (patience.most(), patience.taken(true)).0).take(4).collect();
        assert_eq!(tried, [32, 64, 128, 256]);
        assert!(patience.pause.is_some() && patience.taken(true) && patience.pause.is_none());
        refused(&mut patience, false);
        assert!(!patience.taken(false) && patience.pause.is_none());
        assert_eq!(patience.most(), BATCH);
    }
}
