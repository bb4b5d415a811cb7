//! Waits until a requested state is reached or can no longer be reached, with progress on stderr.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::Console;
use super::change_wait::ChangeWait;
use super::feed::MAX_OUTAGE;
use super::resource::Resource;
use crate::failure::{Failure, Kind};
use crate::output::{Progress, cell};

/// Options of commands that can wait.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Wait {
    /// Wait until it is done, with progress on stderr
    #[arg(long)]
    pub(super) wait: bool,
    /// Maximum time to wait
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = streams::duration::parse)]
    pub(super) timeout: Duration,
}

/// How a thing relates to its goal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The goal is reached.
    Done,
    /// In progress, or waiting for another attempt.
    Underway,
    /// The goal will not be reached without intervention.
    Failed,
}

/// What to wait for.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) resource: &'static Resource,
    pub(super) outcome: fn(&Value) -> Outcome,
    /// One line on the current state.
    pub(super) standing: fn(&Value) -> String,
    /// Advice after a failure; `ID` stands for the id.
    pub(super) advice: &'static str,
    /// The command that continues watching.
    pub(super) watch: &'static str,
}

impl Goal {
    fn id(&self, row: &Value) -> String {
        cell(row, self.resource.id)
    }

    /// Waits for the goal, and returns the thing as it is then.
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
                    .hint(format!("{watch}; it continues on the server")))
            }
            None => Err(self.interrupted(&latest)),
        }
    }

    async fn look(&self, console: &Console, latest: &mut Value, progress: &mut Progress) -> Result<(), Failure> {
        let path = self.resource.at(self.id(latest));
        let mut tolerance = Tolerance::default();
        let mut changes = None;
        loop {
            progress.say(&format!("{} {}: {}", self.resource.noun, self.id(latest), (self.standing)(latest)));
            match (self.outcome)(latest) {
                Outcome::Done => return Ok(()),
                Outcome::Failed => return Err(self.failed(latest)),
                Outcome::Underway => {}
            }
            match &mut changes {
                Some(changes) => ChangeWait::next(changes).await,
                none => {
                    let entity = format!("{}:{}", self.resource.noun, self.id(latest));
                    *none = Some(ChangeWait::of(&console.client, entity).await);
                }
            }
            if let Some(row) = tolerance.with(console.client.get(&path, &[]).await)? {
                *latest = row;
            }
        }
    }

    /// The failure of a thing that will not reach its goal.
    pub(super) fn failed(&self, row: &Value) -> Failure {
        let why = why(row).map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("{} {} failed{why}", self.resource.noun, self.id(row));
        Failure::new(Kind::Failed, message).hint(self.advice.replace("ID", &self.id(row)))
    }

    /// The failure after Ctrl-C.
    pub(super) fn interrupted(&self, row: &Value) -> Failure {
        let message = format!("{}; it continues on the server", self.still(row));
        Failure::new(Kind::Interrupted, message).hint(format!("`{} {}` to keep watching", self.watch, self.id(row)))
    }

    fn still(&self, row: &Value) -> String {
        let (noun, id, state) = (self.resource.noun, self.id(row), (self.resource.state)(row));
        if state.is_empty() {
            return format!("nothing is known of {noun} {id} yet");
        }
        let why = why(row).map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{noun} {id} is still {state}{why}")
    }
}

/// The reason that it gives for its state.
fn why(row: &Value) -> Option<String> {
    let fields = ["message", "install_message", "reason", "failures.0.detail"];
    fields.into_iter().map(|name| cell(row, name)).find(|text| !text.is_empty())
}

/// Tolerates a server that is away for a while.
#[derive(Debug, Default)]
pub(super) struct Tolerance {
    away_since: Option<Instant>,
}

impl Tolerance {
    pub(super) fn with<T>(&mut self, answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match answer {
            Ok(answer) => {
                self.away_since = None;
                Ok(Some(answer))
            }
            Err(failure) if failure.kind == Kind::Unavailable => {
                let since = *self.away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > MAX_OUTAGE { Err(failure) } else { Ok(None) }
            }
            Err(failure) => Err(failure),
        }
    }
}
