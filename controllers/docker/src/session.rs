//! What this run of the controller knows of a session besides what the engine has: whether it was seen ready, what failed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bollard::models::ContainerStateStatusEnum as Status;
use controllers::driver::{Goal, Observed, Spec, retryable};
use streams::wire::{Failure, Resources, Scope, SessionState};
use tokio::sync::{Mutex as Turn, watch};
use uuid::Uuid;

use super::{Host, block::Block, look::Found, plan, usage::Sample};

/// What only this run knows.
#[derive(Debug, Default)]
pub(crate) struct Now {
    /// Steps that are under way and make its container run, or end.
    steps: usize,
    /// The run of its container that was seen ready.
    pub(crate) ready: Option<String>,
    /// Why its last start, or its run, came to nothing.
    pub(crate) failure: Option<Failure>,
    /// Restarts by its template's policy.
    pub(crate) restarts: VecDeque<Instant>,
    pub(crate) message: Option<String>,
    /// What was answered or reported last.
    pub(crate) told: Option<(SessionState, i64)>,
    pub(crate) sample: Option<Sample>,
    pub(crate) usage: Option<Resources>,
    pub(crate) connections: Option<u32>,
}

/// One session.
pub(crate) struct Session {
    pub(crate) id: Uuid,
    /// One step at a time.
    pub(crate) turn: Turn<()>,
    /// Held by a request to the engine that changes something, until the engine has answered.
    requests: Arc<Turn<()>>,
    /// The newest generation that was asked for: a step for an older one stops waiting for readiness.
    pub(crate) wanted: watch::Sender<i64>,
    now: Mutex<Now>,
}

impl Session {
    pub(crate) fn new(id: Uuid) -> Arc<Self> {
        let (turn, requests) = (Turn::new(()), Arc::default());
        Arc::new(Self { id, turn, requests, wanted: watch::Sender::new(i64::MIN), now: Mutex::default() })
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a request that changes something. It goes on to its answer though whoever made it gives up, and the next step waits
    /// for that: the engine carries out what it was asked, whether or not anybody listens, and a container that is still being
    /// made would outlive a delete that did not see it.
    pub(crate) async fn request<T: Send + 'static>(&self, request: impl Future<Output = T> + Send + 'static) -> T {
        let turn = self.requests.clone().lock_owned().await;
        let made = tokio::spawn(async move {
            let _turn = turn;
            request.await
        });
        match made.await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => std::future::pending().await, // the program ends
        }
    }

    /// Waits until no request of a step that was cut is under way.
    pub(crate) async fn settled(&self) {
        drop(self.requests.lock().await);
    }

    /// Notes that a step is under way for as long as the answer lives.
    pub(crate) fn step(&self) -> Step<'_> {
        self.now().steps += 1;
        Step(self)
    }

    pub(crate) fn want(&self, generation: i64) {
        self.wanted.send_if_modified(|newest| {
            let newer = generation > *newest;
            *newest = generation.max(*newest);
            newer
        });
    }
}

/// A step that is under way.
pub(crate) struct Step<'a>(&'a Session);

impl Drop for Step<'_> {
    fn drop(&mut self) {
        let mut now = self.0.now();
        now.steps = now.steps.saturating_sub(1);
    }
}

impl Host {
    /// The entry of a session, made where there is none.
    pub(crate) fn session(&self, id: Uuid) -> Arc<Session> {
        self.sessions().entry(id).or_insert_with(|| Session::new(id)).clone()
    }

    /// Drops the entry of a session of which nothing is left, unless somebody waits for it.
    pub(crate) fn forget(&self, session: &Arc<Session>) {
        let mut sessions = self.sessions();
        if Arc::strong_count(session) <= 2 {
            sessions.remove(&session.id);
        } else {
            let steps = session.now().steps;
            *session.now() = Now { steps, ..Now::default() };
        }
    }

    /// A session as it is. Where a step is under way it is taken as what that step makes of it.
    pub(crate) fn observed(&self, session: &Session, found: &Found) -> Observed {
        let (state, phase, failure) = state(session, found);
        let spec = found.spec();
        let running = state == SessionState::Running;
        let now = session.now();
        let message = failure.as_ref().map(|failure| failure.message.clone()).or_else(|| now.message.clone());
        Observed {
            user_id: found.user(),
            phase,
            url: running.then(|| self.url(session.id, found, spec.as_deref())).flatten(),
            resource_name: found.container.as_ref().map(|_| self.names.container(session.id)),
            message,
            resource_usage: now.usage.clone().filter(|_| running),
            connections: now.connections.filter(|_| running),
            failure,
            spec,
            ..Observed::bare(session.id, found.generation().unwrap_or_default(), state)
        }
    }

    /// Where a browser reaches it.
    fn url(&self, session: Uuid, found: &Found, spec: Option<&Spec>) -> Option<String> {
        let port = self.published(found, spec)?;
        let host = self.published_at();
        let pattern = self.config.url.as_deref().unwrap_or("http://{host}:{port}/");
        let url = pattern.replace("{host}", &host).replace("{port}", &port.to_string());
        Some(url.replace("{session}", &session.to_string()))
    }

    /// The port of the host that leads to a container's main port.
    pub(crate) fn published(&self, found: &Found, spec: Option<&Spec>) -> Option<u16> {
        let port = plan::main_port(spec?)?;
        let block = Block::of(spec?).unwrap_or_default();
        if block.host_network {
            return Some(port);
        }
        let ports = found.container.as_ref()?.network_settings.as_ref()?.ports.as_ref()?;
        let bindings = ports.get(&format!("{port}/tcp"))?.as_ref()?;
        bindings.iter().find_map(|binding| binding.host_port.as_ref()?.parse().ok())
    }

    pub(crate) fn published_at(&self) -> String {
        match self.config.publish {
            address if address.is_unspecified() => self.address.published_at(),
            std::net::IpAddr::V6(address) => format!("[{address}]"),
            address => address.to_string(),
        }
    }
}

fn state(session: &Session, found: &Found) -> (SessionState, Option<String>, Option<Failure>) {
    let status = found.status();
    let phase = status.map(|status| status.to_string());
    let stopped = !matches!(status, Some(Status::RUNNING | Status::RESTARTING | Status::PAUSED));
    match found.goal() {
        Goal::Deleted => (SessionState::Deleting, phase, None),
        Goal::Hibernated if stopped || status == Some(Status::PAUSED) => (SessionState::Hibernated, phase, None),
        Goal::Hibernated => (SessionState::Hibernating, phase, None),
        Goal::Running if status == Some(Status::RUNNING) => {
            let ready = session.now().ready.is_some() && session.now().ready == found.run();
            (if ready { SessionState::Running } else { SessionState::Creating }, phase, None)
        }
        Goal::Running if session.now().steps > 0 => (SessionState::Creating, phase, None),
        Goal::Running => {
            let failure = session.now().failure.clone().unwrap_or_else(|| ended(found));
            (SessionState::Failed, phase, Some(failure))
        }
    }
}

/// Why a container that should run does not.
pub(crate) fn ended(found: &Found) -> Failure {
    let state = found.container.as_ref().and_then(|container| container.state.as_ref());
    let Some(state) = state else {
        let message = "its container is gone, and nobody deleted it here";
        return retryable("vanished", message).of(Scope::Session);
    };
    if state.paused == Some(true) {
        return retryable("paused", "its container was paused, and not by this controller").of(Scope::Session);
    }
    let code = state.exit_code.unwrap_or_default();
    if state.oom_killed == Some(true) {
        let message = "a process of its container was killed: it used more memory than it may";
        return Failure { user_error: true, ..retryable("out_of_memory", message) }.of(Scope::Session);
    }
    let error = state.error.as_deref().filter(|error| !error.is_empty()).map(|error| format!(" ({error})"));
    let message = format!("its container ended with exit code {code}{}", error.unwrap_or_default());
    retryable("process_exited", message).of(Scope::Session)
}
