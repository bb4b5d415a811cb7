//! Runs every step in the life of a request with a SIGKILL of the real process before, during and after it, on
//! both databases.
//!
//! The process that owns the step dies there and is restarted. The outcome must be as if nothing had happened:
//! the session was created, hibernated by its idle timer, and deleted by a job; the undecodable message is one
//! dead letter; the log folds to the rows, and every command is accounted for.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bench::account;
use bench::stack::{Backend, Process, Stack};
use reqwest::Method;
use serde_json::{Value, json};
use streams::crash::{Moment, STEPS};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Limits the scenarios at the same time, over both databases; they mostly wait.
static PLACES: Semaphore = Semaphore::const_new(4);
/// Time limit of a scenario. A killed controller's message is redelivered after JetStream's acknowledgement wait.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Whether the controller owns the step; all others are the engine's.
fn is_controllers(step: &str) -> bool {
    step.starts_with("worker.") || step.starts_with("driver.")
}

pub(crate) fn binary() -> PathBuf {
    let mut path = std::env::current_exe().expect("this test has a path");
    path.pop();
    path.pop();
    let binary = path.join("streamspace");
    assert!(
        binary.exists(),
        "{} is missing: run `make test`, or build it with --features cli/crash-points",
        binary.display()
    );
    binary
}

async fn every_step_on(backend: Backend) {
    let mut scenarios = JoinSet::new();
    for step in STEPS {
        for moment in Moment::ALL {
            scenarios.spawn(async move {
                let _place = PLACES.acquire().await.expect("open");
                let outcome = tokio::time::timeout(TIME_LIMIT, scenario(backend, step, moment)).await;
                (step, moment, outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("not over after {TIME_LIMIT:?}"))))
            });
        }
    }
    let mut broken = Vec::new();
    while let Some(scenario) = scenarios.join_next().await {
        let (step, moment, outcome) = scenario.expect("a scenario does not panic");
        if let Err(error) = outcome {
            broken.push(format!("{step}:{}: {error:#}", moment.as_str()));
        }
    }
    assert!(broken.is_empty(), "{} of {} scenarios failed:\n{}", broken.len(), STEPS.len() * 3, broken.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_every_step_changes_no_ending_on_sqlite() {
    every_step_on(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_every_step_changes_no_ending_on_postgresql() {
    every_step_on(Backend::Postgres).await;
}

struct Scenario {
    stack: Stack,
    controller: Option<Process>,
    armed: Vec<(&'static str, String)>,
    controllers_step: bool,
}

async fn scenario(backend: Backend, step: &'static str, moment: Moment) -> Result<()> {
    let once = tempfile::tempdir()?;
    let witness = once.path().join("died");
    let armed = vec![
        ("STREAMSPACE_CRASH_AT", format!("{step}:{}", moment.as_str())),
        ("STREAMSPACE_CRASH_ONCE", witness.display().to_string()),
    ];
    let controllers_step = is_controllers(step);
    let for_serve: &[(&str, String)] = if controllers_step { &[] } else { &armed };
    let stack = Stack::start(&binary(), backend, for_serve).await?;
    let mut scenario = Scenario { stack, controller: None, armed, controllers_step };
    let result = scenario.run().await;
    let result = result.with_context(|| scenario.stack.logs());
    result?;
    ensure!(witness.exists(), "the process was never killed: the step has no such point, or was not reached");
    account::check(&scenario.stack.database).await
}

impl Scenario {
    async fn run(&mut self) -> Result<()> {
        let id = self.create().await?;
        let more: &[(&str, String)] = if self.controllers_step { &self.armed } else { &[] };
        self.controller = Some(self.stack.controller("host-1", "noop", more)?);
        publish_rubbish(&self.stack).await.context("publishing rubbish")?;
        self.until(&id, "hibernated").await?;
        let job = self.delete_all().await?;
        self.until(&id, "deleted").await?;
        self.ended(&job).await?;
        self.one_dead_letter().await
    }

    /// Restarts processes that died.
    fn revive(&mut self) -> Result<()> {
        if self.stack.serve.ended()?.is_some() {
            self.stack.serve.again()?;
        }
        if let Some(controller) = &mut self.controller
            && controller.ended()?.is_some()
        {
            controller.again()?;
        }
        Ok(())
    }

    /// Sends a request until it is answered, restarting processes that died meanwhile.
    async fn ask(&mut self, method: Method, path: &str) -> Result<Value> {
        self.send(method, path, None).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let begun = Instant::now();
        loop {
            self.revive()?;
            match self.stack.request(method.clone(), path, body.as_ref()).await {
                Ok((200..=299, answer)) => return Ok(answer),
                Ok((503, _)) | Err(_) if begun.elapsed() < TIME_LIMIT => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                Ok((status, answer)) => bail!("{method} {path} answered {status}: {answer}"),
                Err(error) => return Err(error),
            }
        }
    }

    async fn create(&mut self) -> Result<String> {
        let body = json!({ "template_id": "scratchpad", "platform": "noop", "user_id": "ann", "idle_timeout": "1s" });
        let answer = self.send(Method::POST, "/sessions", Some(body)).await?;
        answer["session_id"].as_str().map(str::to_owned).context("a session_id")
    }

    /// Deletes by a job, so that every scenario includes one.
    async fn delete_all(&mut self) -> Result<String> {
        let body = json!({ "action": "delete", "filter": { "user_id": "ann" } });
        let answer = self.send(Method::POST, "/sessions/bulk", Some(body)).await?;
        answer["job_id"].as_str().map(str::to_owned).context("a job_id")
    }

    async fn ended(&mut self, job: &str) -> Result<()> {
        let mut last = Value::Null;
        for _ in 0..1200 {
            last = self.ask(Method::GET, &format!("/jobs/{job}")).await?;
            if last["status"] == "completed" {
                ensure!(last["failed"] == 0 && last["total"] == 1, "{last}");
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the job is not completed: {last}")
    }

    async fn until(&mut self, id: &str, status: &str) -> Result<()> {
        let mut last = Value::Null;
        let begun = Instant::now();
        while begun.elapsed() < TIME_LIMIT / 2 {
            last = self.ask(Method::GET, &format!("/sessions/{id}")).await?;
            if last["status"] == status {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the session is not {status}: {last}")
    }

    async fn one_dead_letter(&mut self) -> Result<()> {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.ask(Method::GET, "/admin/dlq").await?;
            if last["items"].as_array().is_some_and(|items| items.len() == 1) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("there is not exactly one dead letter: {last}")
    }
}

/// Publishes unreadable bytes into the report stream, once it exists.
async fn publish_rubbish(stack: &Stack) -> Result<()> {
    let link = stack.nats.link().await?;
    for _ in 0..600 {
        let sent = link.jetstream.publish("streamspace.session.status", "not json".into()).await;
        if let Ok(ack) = sent
            && ack.await.is_ok()
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("no stream took it")
}
