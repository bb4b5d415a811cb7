//! Waiting for something that was asked, with its progress on stderr, until it is there, or will not get there.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::Console;
use super::feed::PATIENCE;
use super::pulse::Pulse;
use super::resource::Resource;
use crate::failure::{Failure, Kind};
use crate::output::{Progress, cell};

/// Whether to wait, and how long.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Wait {
    /// Wait until it is done, and show how it goes on stderr
    #[arg(long)]
    pub(super) wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = streams::duration::parse)]
    pub(super) timeout: Duration,
}

/// Where a thing is, seen from where it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There.
    Done,
    /// On its way, or waiting for another attempt.
    Underway,
    /// It will not get there by itself.
    Failed,
}

/// What is waited for.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) resource: &'static Resource,
    pub(super) outcome: fn(&Value) -> Outcome,
    /// How it stands, in one line for people who wait.
    pub(super) standing: fn(&Value) -> String,
    /// What to try when it failed, with `ID` for its id.
    pub(super) mend: &'static str,
    /// The command that goes on watching.
    pub(super) watch: &'static str,
}

impl Goal {
    fn id(&self, row: &Value) -> String {
        cell(row, self.resource.id)
    }

    /// Waits for one that something was asked of; how it is then.
    pub(super) async fn reach(&self, console: &Console, asked: Value, limit: Duration) -> Result<Value, Failure> {
        let mut latest = asked;
        let mut progress = Progress::start(&console.screen);
        let deadline = Instant::now() + limit;
        let watch = format!("`{} {}`", self.watch, self.id(&latest));
        let waited = tokio::select! {
            waited = timeout_at(deadline, self.look(console, &mut latest, &mut progress)) => Some(waited),
            _ = tokio::signal::ctrl_c() => None,
        };
        drop(progress);
        match waited {
            Some(Ok(looked)) => looked.map(|()| latest),
            Some(Err(_)) => {
                Err(Failure::new(Kind::Unavailable, format!("{} after {} s", self.still(&latest), limit.as_secs()))
                    .hint(format!("{watch}; it goes on without us")))
            }
            None => Err(self.interrupted(&latest)),
        }
    }

    async fn look(&self, console: &Console, latest: &mut Value, progress: &mut Progress) -> Result<(), Failure> {
        let path = self.resource.at(self.id(latest));
        let mut patience = Patience::default();
        let mut pulse = None;
        loop {
            progress.say(&format!("{} {}: {}", self.resource.noun, self.id(latest), (self.standing)(latest)));
            match (self.outcome)(latest) {
                Outcome::Done => return Ok(()),
                Outcome::Failed => return Err(self.failed(latest)),
                Outcome::Underway => {}
            }
            match &mut pulse {
                Some(pulse) => Pulse::beat(pulse).await,
                none => {
                    let entity = format!("{}:{}", self.resource.noun, self.id(latest));
                    *none = Some(Pulse::of(&console.client, entity).await);
                }
            }
            if let Some(row) = patience.with(console.client.get(&path, &[]).await)? {
                *latest = row;
            }
        }
    }

    /// It will not get there by itself.
    pub(super) fn failed(&self, row: &Value) -> Failure {
        let why = why(row).map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("{} {} failed{why}", self.resource.noun, self.id(row));
        Failure::new(Kind::Failed, message).hint(self.mend.replace("ID", &self.id(row)))
    }

    /// Somebody does not want to wait any more.
    pub(super) fn interrupted(&self, row: &Value) -> Failure {
        let message = format!("{}; it goes on without us", self.still(row));
        Failure::new(Kind::Interrupted, message).hint(format!("`{} {}` to go on watching", self.watch, self.id(row)))
    }

    fn still(&self, row: &Value) -> String {
        let (noun, id, state) = (self.resource.noun, self.id(row), (self.resource.state)(row));
        if state.is_empty() {
            return format!("nothing was heard of {noun} {id} yet");
        }
        let why = why(row).map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{noun} {id} is still {state}{why}")
    }
}

/// The reason that a thing gives for how it is.
fn why(row: &Value) -> Option<String> {
    let fields = ["message", "install_message", "reason", "failures.0.detail"];
    fields.into_iter().map(|name| cell(row, name)).find(|text| !text.is_empty())
}

/// A server that is away for a while is no reason to give up.
#[derive(Debug, Default)]
pub(super) struct Patience {
    away_since: Option<Instant>,
}

impl Patience {
    pub(super) fn with<T>(&mut self, answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match answer {
            Ok(answer) => {
                self.away_since = None;
                Ok(Some(answer))
            }
            Err(failure) if failure.kind == Kind::Unavailable => {
                let since = *self.away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE { Err(failure) } else { Ok(None) }
            }
            Err(failure) => Err(failure),
        }
    }
}
