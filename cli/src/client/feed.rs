//! The server's live feed; a broken connection is resumed where it ended.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use sse_stream::{Sse, SseStream};
use tokio::time::{Instant, sleep};

use super::Query;
use super::transport::Client;
use crate::failure::{Failure, Kind};

/// How long to wait for a server that restarts.
pub(super) const MAX_OUTAGE: Duration = Duration::from_secs(30);
/// The parameter that names the position to start from.
pub(super) const AFTER: &str = "after";
const RECONNECT: Duration = Duration::from_millis(500);

/// An item of the feed.
#[derive(Debug)]
pub(super) enum FeedItem {
    /// A change, as the server sent it.
    Change(Value),
    /// The requested position is no longer kept: some changes were missed, and state has to be read again.
    Missed,
}

/// A connection to the feed and the position reached.
pub(super) struct Feed<'a> {
    client: &'a Client,
    query: Query,
    stream: Option<BoxStream<'static, Result<Sse, sse_stream::Error>>>,
    /// Id of the last item received.
    pub(super) last: Option<String>,
    /// Since when the server has been unreachable.
    away_since: Option<Instant>,
}

impl<'a> Feed<'a> {
    /// Connects; fails with kind `Older` if the server has no feed.
    pub(super) async fn open(client: &'a Client, query: Query) -> Result<Self, Failure> {
        let mut feed = Self { client, query, stream: None, last: None, away_since: None };
        feed.connect().await?;
        Ok(feed)
    }

    /// Waits for the next item.
    pub(super) async fn next(&mut self) -> Result<FeedItem, Failure> {
        loop {
            let Some(stream) = &mut self.stream else {
                match self.connect().await {
                    Ok(()) => continue,
                    Err(failure) if failure.kind == Kind::Gone => {
                        self.last = None;
                        self.query.retain(|(name, _)| *name != AFTER);
                        return Ok(FeedItem::Missed);
                    }
                    Err(failure) => self.tolerate(failure).await?,
                }
                continue;
            };
            match stream.next().await {
                Some(Ok(event)) => {
                    if let Some(change) = self.read(event) {
                        return Ok(FeedItem::Change(change));
                    }
                }
                Some(Err(_)) | None => {
                    self.stream = None;
                    sleep(RECONNECT).await; // do not reconnect in a tight loop if the server hangs up at once
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let last = self.last.as_deref();
        // The starting position is obsolete once something was received.
        let still_valid = |(name, _): &&(&str, _)| last.is_none() || *name != AFTER;
        let query: Vec<_> = self.query.iter().filter(still_valid).cloned().collect();
        let answer = self.client.feed(&query, last).await?;
        self.stream = Some(SseStream::from_bytes_stream(answer.bytes_stream()).boxed());
        self.away_since = None;
        Ok(())
    }

    async fn tolerate(&mut self, failure: Failure) -> Result<(), Failure> {
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if failure.kind != Kind::Unavailable || since.elapsed() > MAX_OUTAGE {
            return Err(failure);
        }
        sleep(RECONNECT).await;
        Ok(())
    }

    /// Parses a change; `None` for a keep-alive, and for event types of later servers.
    fn read(&mut self, event: Sse) -> Option<Value> {
        if let Some(id) = event.id.filter(|id| !id.is_empty()) {
            self.last = Some(id);
        }
        let change: Value = streams::limits::json::stored(event.data?.as_bytes()).ok()?;
        change.get("entity").is_some().then_some(change)
    }
}
