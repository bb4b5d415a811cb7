//! The users' requests during a round, and what they were promised.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::client::Client;

/// The last promised state of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Goal {
    /// Created or woken.
    Running,
    /// Hibernated.
    Hibernated,
    /// Deleted.
    Deleted,
}

impl Goal {
    /// The spelling of the API.
    #[must_use]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Hibernated => "hibernated",
            Self::Deleted => "deleted",
        }
    }
}

/// The promises made to a user.
#[derive(Debug, Default)]
pub(super) struct Promised {
    /// Number of 202 answers.
    pub(super) accepted: usize,
    /// The last promise for each session.
    pub(super) goals: HashMap<Uuid, Goal>,
}

/// A user who sends one request after the other.
pub(super) struct User {
    name: String,
    rng: StdRng,
    client: Client,
    promised: Promised,
    keys: u64,
}

impl User {
    /// A user of a round.
    #[must_use]
    pub(super) fn new(seed: u64, number: u64, client: Client) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number));
        Self { name: format!("user-{seed}-{number}"), rng, client, promised: Promised::default(), keys: 0 }
    }

    /// Sends requests until `over`.
    ///
    /// # Errors
    /// An unexpected answer, or none at all.
    pub(super) async fn ask(mut self, over: Arc<AtomicBool>) -> Result<Promised> {
        while !over.load(Ordering::Relaxed) {
            match self.rng.random_range(0..40) {
                0 => self.delete_all().await?,
                1..18 => self.create().await?,
                18..26 => self.intend(Method::POST, "/hibernate", Goal::Hibernated).await?,
                26..34 => self.intend(Method::POST, "/wake", Goal::Running).await?,
                _ => self.intend(Method::DELETE, "", Goal::Deleted).await?,
            }
            sleep(Duration::from_millis(self.rng.random_range(0..150))).await;
        }
        Ok(self.promised)
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        self.keys += 1;
        let key = format!("{}-{}", self.name, self.keys);
        let answer = self.client.send(method, path, &key, body.as_ref()).await;
        answer.with_context(|| format!("{path} with the key {key} was never answered"))
    }

    async fn create(&mut self) -> Result<()> {
        let platform = if self.rng.random_bool(0.7) { "here" } else { "there" };
        let body = json!({ "template_id": "scratchpad", "platform": platform, "user_id": self.name });
        match self.send(Method::POST, "/sessions", Some(body)).await? {
            (202, answer) => self.promise(id(&answer, "session_id")?, Goal::Running),
            (status, answer) => bail!("a create was answered {status}: {answer}"),
        }
        Ok(())
    }

    /// A request for one of the sessions that are not deleted; a conflict with its present state is a valid answer.
    async fn intend(&mut self, method: Method, what: &str, goal: Goal) -> Result<()> {
        let mut alive: Vec<Uuid> = self.alive().collect();
        alive.sort_unstable();
        let Some(session) = alive.choose(&mut self.rng).copied() else { return Ok(()) };
        match self.send(method, &format!("/sessions/{session}{what}"), None).await? {
            // 200: the state holds already, as for a delete of a session that was never placed
            (200 | 202 | 204, _) => self.promise(session, goal),
            (409, _) => {}
            (status, answer) => bail!("{what} of {session} was answered {status}: {answer}"),
        }
        Ok(())
    }

    async fn delete_all(&mut self) -> Result<()> {
        let body = json!({ "action": "delete", "filter": { "user_id": self.name } });
        let (status, answer) = self.send(Method::POST, "/sessions/bulk", Some(body)).await?;
        if status != 202 {
            bail!("a bulk delete was answered {status}: {answer}");
        }
        self.promised.accepted += 1;
        let job = id(&answer, "job_id")?;
        loop {
            let (_, job) = self.send(Method::GET, &format!("/jobs/{job}"), None).await?;
            if job["status"] != "running" {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let alive: Vec<Uuid> = self.alive().collect();
        self.promised.goals.extend(alive.into_iter().map(|session| (session, Goal::Deleted)));
        Ok(())
    }

    fn alive(&self) -> impl Iterator<Item = Uuid> {
        self.promised.goals.iter().filter(|(_, goal)| **goal != Goal::Deleted).map(|(session, _)| *session)
    }

    fn promise(&mut self, session: Uuid, goal: Goal) {
        self.promised.accepted += 1;
        self.promised.goals.insert(session, goal);
    }
}

fn id(answer: &Value, field: &str) -> Result<Uuid> {
    let text = answer[field].as_str().with_context(|| format!("no {field} in {answer}"))?;
    Ok(text.parse()?)
}
