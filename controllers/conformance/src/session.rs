//! One session under test.

use std::time::Duration;

use serde_json::{Value, json};
use streams::subject::Verb;
use streams::wire::{Manifest, SessionState, SessionStatus};
use tokio::time::Instant;
use uuid::Uuid;

use crate::Lane;
use crate::book::Heard;
use crate::engine::Sent;
use crate::exam::Exam;

/// Attempts at a command whose failure may be retried, as the engine makes them.
const ATTEMPTS: i64 = 4;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a command may take, redelivery after a kill included.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// In the core lane a command is sent again after this silence.
const SILENCE: Duration = Duration::from_secs(6);

/// A session, known to the suite alone until a command names it.
pub(crate) struct Session<'a> {
    pub(crate) exam: &'a Exam,
    pub(crate) id: Uuid,
    pub(crate) user: String,
    pub(crate) template: &'a Manifest,
    pub(crate) persistent_home: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(exam: &'a Exam) -> Self {
        let id = exam.new_session();
        let user = format!("conformance-{id}"); // a home is used by one session at a time
        Self { exam, id, user, template: &exam.options.templates.good, persistent_home: true }
    }

    fn payload(&self, verb: Verb) -> Value {
        let mut payload = json!({ "session_id": self.id, "user_id": self.user });
        if matches!(verb, Verb::SessionCreate | Verb::SessionWake) {
            payload["template_id"] = json!(self.template.metadata.name);
            payload["template"] = json!(self.template);
            payload["resources"] = json!({ "memory": "1Gi", "cpu": "500m" });
            payload["persistent_home"] = json!(self.persistent_home);
            payload["metadata"] = json!({ "source": "conformance" });
        }
        payload
    }

    /// Publishes a command.
    pub(crate) async fn send(&self, verb: Verb, generation: i64) -> Result<Sent, String> {
        self.exam.engine.command(verb, generation, self.payload(verb)).await
    }

    /// A delete that does not wait for anything.
    pub(crate) async fn send_forced(&self, generation: i64) -> Result<Sent, String> {
        let mut payload = self.payload(Verb::SessionDelete);
        payload["force"] = json!(true);
        self.exam.engine.command(Verb::SessionDelete, generation, payload).await
    }

    /// The report that concludes a command.
    pub(crate) async fn conclusion(&self, sent: &Sent) -> Result<SessionStatus, String> {
        let deadline = Instant::now() + PATIENCE;
        let core = self.exam.engine.lane == Lane::Core;
        let want = |heard: &Heard| concludes(heard, sent, core);
        let mut slice = if core { SILENCE } else { PATIENCE };
        loop {
            if let Some(status) = self.exam.engine.book.wait(sent.since, slice, want).await {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.unanswered(sent));
            }
            slice = SILENCE.min(deadline - Instant::now());
            self.exam.engine.again(sent, sent.attempt).await?; // the core lane: at least once
        }
    }

    fn unanswered(&self, sent: &Sent) -> String {
        let last = self.exam.engine.book.newest(|heard| match heard {
            Heard::Session(status) if status.session_id == self.id => Some(status.status.as_str()),
            _ => None,
        });
        let last = last.map_or("none at all".to_owned(), |state| format!("the last one about it is {state}"));
        format!("no report concluded {} (generation {}) within {PATIENCE:?}: {last}", sent.verb.name(), sent.generation)
    }

    /// Waits until a command has reached its goal; failures that may be retried are.
    pub(crate) async fn done(&self, sent: Sent) -> Result<SessionStatus, String> {
        let goal = goal(&sent);
        let mut sent = sent;
        for attempt in 2..=ATTEMPTS + 1 {
            let status = self.conclusion(&sent).await?;
            if status.status == goal {
                return self.as_commanded(status, &sent);
            }
            match &status.error {
                Some(error) if error.retryable && attempt <= ATTEMPTS => {}
                Some(error) => {
                    return Err(format!("{} failed with {}: {}", sent.verb.name(), error.code, error.message));
                }
                None => return Err(format!("{} was answered with {}", sent.verb.name(), status.status.as_str())),
            }
            tokio::time::sleep(PAUSE).await;
            sent = self.exam.engine.again(&sent, attempt).await?;
        }
        Err("it was tried too often".into())
    }

    fn as_commanded(&self, status: SessionStatus, sent: &Sent) -> Result<SessionStatus, String> {
        if status.status != SessionState::Running && status.url.is_some() {
            return Err(format!("a session that is {} has the url {:?}", status.status.as_str(), status.url));
        }
        let echoed = |generation: i64| generation == sent.generation;
        match status.generation {
            Some(generation) if !echoed(generation) => {
                Err(format!("{} of generation {} was reported as {generation}", sent.verb.name(), sent.generation))
            }
            None if self.exam.engine.lane == Lane::Durable => Err("a report without a generation".into()),
            _ => Ok(status),
        }
    }

    pub(crate) async fn reach(&self, verb: Verb, generation: i64) -> Result<SessionStatus, String> {
        let sent = self.send(verb, generation).await?;
        self.done(sent).await
    }

    /// Deletes it, and looks that nothing of it is left.
    pub(crate) async fn delete(&self, generation: i64) -> Result<(), String> {
        self.reach(Verb::SessionDelete, generation).await?;
        self.exam.leaves_nothing(self.id).await
    }

    /// Every report on it after a mark.
    pub(crate) fn reports(&self, since: usize) -> Vec<SessionStatus> {
        let mut all = Vec::new();
        self.exam.engine.book.each(since, |_, entry| match &entry.heard {
            Heard::Session(status) if status.session_id == self.id => all.push(status.clone()),
            _ => {}
        });
        all
    }
}

/// The state that a command asks for.
pub(crate) const fn goal(sent: &Sent) -> SessionState {
    match sent.verb {
        Verb::SessionHibernate => SessionState::Hibernated,
        Verb::SessionDelete => SessionState::Deleted,
        _ => SessionState::Running,
    }
}

/// A report that concludes a command: by its `causation_id`, in the core lane also by the goal.
fn concludes(heard: &Heard, sent: &Sent, core: bool) -> Option<SessionStatus> {
    let Heard::Session(status) = heard else { return None };
    let last = [SessionState::Running, SessionState::Hibernated, SessionState::Deleted, SessionState::Failed];
    if sent.session_id != Some(status.session_id) || !last.contains(&status.status) {
        return None;
    }
    let answers = match status.causation_id {
        Some(cause) => cause == sent.event_id,
        None => core && (status.status == goal(sent) || status.status == SessionState::Failed),
    };
    answers.then(|| status.clone())
}
