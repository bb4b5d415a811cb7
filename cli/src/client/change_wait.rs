//! Waits for the next reason to look at a thing. The feed only signals that something changed; the state is
//! read from the resource itself, and a slow poll backs the feed up, so a server without a feed is merely
//! polled more often.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::feed::Feed;
use super::transport::Client;

const WITHOUT_FEED: Duration = Duration::from_millis(100);
const WITH_FEED: Duration = Duration::from_secs(2);

/// The source of the signals.
pub(super) enum ChangeWait<'a> {
    /// The server's feed.
    Feed(Box<Feed<'a>>),
    /// Polling only.
    Clock,
}

impl<'a> ChangeWait<'a> {
    /// Signals for one entity. Create it before the first look, so that no change is missed.
    pub(super) async fn of(client: &'a Client, entity: String) -> Self {
        match Feed::open(client, vec![("entity", Some(entity))]).await {
            Ok(feed) => Self::Feed(Box::new(feed)),
            Err(_) => Self::Clock, // the following read fails for the same reason and reports it
        }
    }

    /// Waits until it is time to look.
    pub(super) async fn next(&mut self) {
        match self {
            Self::Clock => sleep(WITHOUT_FEED).await,
            Self::Feed(feed) => {
                if let Ok(Err(_)) = timeout(WITH_FEED, feed.next()).await {
                    *self = Self::Clock;
                }
            }
        }
    }
}
