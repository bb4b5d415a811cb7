//! The server's live feed, read as long as somebody wants: a connection that breaks is made again where it was.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use sse_stream::{Sse, SseStream};
use tokio::time::{Instant, sleep};

use super::Query;
use super::transport::Client;
use crate::failure::{Failure, Kind};

/// A server that restarts is waited for this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The parameter that says where to begin.
pub(super) const AFTER: &str = "after";
const RECONNECT: Duration = Duration::from_millis(500);

/// What the feed says.
#[derive(Debug)]
pub(super) enum Heard {
    /// Something changed.
    Change(Value),
    /// What was missed meanwhile is not kept any more: whoever has to know has to read it anew.
    Behind,
}

/// The feed, read up to here.
pub(super) struct Feed<'a> {
    client: &'a Client,
    query: Query,
    stream: Option<BoxStream<'static, Result<Sse, sse_stream::Error>>>,
    /// The last that was heard.
    pub(super) last: Option<String>,
    /// Since when nobody answers.
    away_since: Option<Instant>,
}

impl<'a> Feed<'a> {
    /// Connects; the failure is of kind `Older` where the server has no feed.
    pub(super) async fn open(client: &'a Client, query: Query) -> Result<Self, Failure> {
        let mut feed = Self { client, query, stream: None, last: None, away_since: None };
        feed.connect().await?;
        Ok(feed)
    }

    /// Waits for the next thing that is said.
    pub(super) async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            let Some(stream) = &mut self.stream else {
                match self.connect().await {
                    Ok(()) => continue,
                    Err(failure) if failure.kind == Kind::Gone => {
                        self.last = None;
                        self.query.retain(|(name, _)| *name != AFTER);
                        return Ok(Heard::Behind);
                    }
                    Err(failure) => self.patience(failure).await?,
                }
                continue;
            };
            match stream.next().await {
                Some(Ok(said)) => {
                    if let Some(change) = self.read(said) {
                        return Ok(Heard::Change(change));
                    }
                }
                Some(Err(_)) | None => {
                    self.stream = None;
                    sleep(RECONNECT).await; // a server that hangs up at once is not asked in a tight loop
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let last = self.last.as_deref();
        // Where it began says nothing any more once something was heard.
        let said = |(name, _): &&(&str, _)| last.is_none() || *name != AFTER;
        let query: Vec<_> = self.query.iter().filter(said).cloned().collect();
        let answer = self.client.feed(&query, last).await?;
        self.stream = Some(SseStream::from_bytes_stream(answer.bytes_stream()).boxed());
        self.away_since = None;
        Ok(())
    }

    async fn patience(&mut self, failure: Failure) -> Result<(), Failure> {
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if failure.kind != Kind::Unavailable || since.elapsed() > PATIENCE {
            return Err(failure);
        }
        sleep(RECONNECT).await;
        Ok(())
    }

    /// A change, unless it is a sign of life or something that later servers say.
    fn read(&mut self, said: Sse) -> Option<Value> {
        if let Some(id) = said.id.filter(|id| !id.is_empty()) {
            self.last = Some(id);
        }
        let change: Value = streams::limits::json::stored(said.data?.as_bytes()).ok()?;
        change.get("entity").is_some().then_some(change)
    }
}
