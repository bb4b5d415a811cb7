//! When to look again. The feed only says that something happened; what happened is read from the thing itself, with a slow
//! look behind it, so that nothing depends on the feed: a server without one is looked at more often.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::feed::Feed;
use super::transport::Client;

const WITHOUT_FEED: Duration = Duration::from_millis(100);
const WITH_FEED: Duration = Duration::from_secs(2);

/// What says when to look.
pub(super) enum Pulse<'a> {
    /// The server does.
    Feed(Box<Feed<'a>>),
    /// The clock does.
    Clock,
}

impl<'a> Pulse<'a> {
    /// That of one thing. Open it before the first look, so that nothing happens in between.
    pub(super) async fn of(client: &'a Client, entity: String) -> Self {
        match Feed::open(client, vec![("entity", Some(entity))]).await {
            Ok(feed) => Self::Feed(Box::new(feed)),
            Err(_) => Self::Clock, // whatever it is, the look itself fails of it too, and says so
        }
    }

    /// Waits until it is time.
    pub(super) async fn beat(&mut self) {
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
