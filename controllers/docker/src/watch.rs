//! What happens behind our back: the engine's events say that something changed, a look says what.
//!
//! Events can be missed (the engine restarts, the connection breaks), so after each gap everything is compared with what was
//! told last.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bollard::{
    models::{ContainerStateStatusEnum as Status, EventMessage},
    query_parameters::EventsOptionsBuilder,
};
use controllers::driver::Goal;
use futures::StreamExt as _;
use streams::wire::RestartPolicy;
use uuid::Uuid;

use super::{
    Host,
    block::{Block, time},
    engine::failed,
    look::Found,
    names::{self, Role},
    session::{Session, ended},
};

/// Between two tries to hear the engine.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at everything.
const SCAN: Duration = Duration::from_secs(60);
/// Sessions that are compared at the same time.
const AT_ONCE: usize = 8;
/// How far back events are heard again.
const OVERLAP: Duration = Duration::from_secs(10);
const RESTARTS: u32 = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(10 * 60);

impl Host {
    /// A session may have changed: whoever is told looks.
    pub(crate) fn tell(&self, session: Uuid) {
        let _ = self.changes.send(session); // nobody listens: the inventory is reported at the next start
    }

    /// Follows the engine's events. Everything is compared when they begin, and from time to time.
    pub(crate) async fn follow_events(self: Arc<Self>) {
        let closed = self.closed.clone();
        let following = async {
            loop {
                let scan = std::pin::pin!(self.scan());
                tokio::select! {
                    () = self.listen() => {}
                    () = scan => {}
                }
                tracing::warn!(engine = %self.address.host, "the engine's events broke off; listens again");
                tokio::time::sleep(PAUSE).await;
            }
        };
        let _ = closed.run_until_cancelled(following).await;
    }

    /// Hears events until they break off. Those of the last seconds are heard again, so that none falls between two connections;
    /// whoever hears one twice finds nothing new.
    async fn listen(self: &Arc<Self>) {
        let mut filters = self.names.filter(Role::Session, None);
        filters.insert("type".into(), vec!["container".into()]);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let since = now.saturating_sub(OVERLAP).as_secs().to_string();
        let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        let mut events = std::pin::pin!(self.api.events(Some(options)));
        while let Some(Ok(event)) = events.next().await {
            self.clone().heard(&event);
        }
    }

    /// Compares everything, again and again: an event may be lost.
    async fn scan(self: &Arc<Self>) {
        loop {
            if self.compare_all().await.is_err() {
                tracing::debug!("the engine cannot be looked through");
            }
            tokio::time::sleep(SCAN).await;
        }
    }

    fn heard(self: Arc<Self>, event: &EventMessage) {
        const CHANGES: [&str; 9] = ["die", "oom", "destroy", "start", "pause", "unpause", "rename", "stop", "kill"];
        let action = event.action.as_deref().unwrap_or_default();
        let unhealthy = action.starts_with("health_status") && action.contains("unhealthy");
        if !CHANGES.contains(&action) && !unhealthy {
            return;
        }
        let labels = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
        let Some(id) = labels.and_then(|labels| labels.get(names::SESSION)?.parse().ok()) else { return };
        let session = self.sessions().get(&id).cloned();
        let Some(session) = session else { return };
        let run = unhealthy.then(|| session.now().ready.clone());
        tokio::spawn(async move {
            match run {
                Some(run) if run.is_some() => self.unwell(&session, &run, "failed the health check of its image").await,
                _ => self.compare(&session).await,
            }
        });
    }

    /// Holds everything against what was told last.
    async fn compare_all(self: &Arc<Self>) -> Result<(), streams::wire::Failure> {
        let there = self.look_at_all().await?;
        for id in there.keys() {
            drop(self.session(*id));
        }
        let sessions = self.sessions().values().cloned().collect::<Vec<_>>();
        let compared = futures::stream::iter(sessions);
        compared.for_each_concurrent(AT_ONCE, |session| async move { self.compare(&session).await }).await;
        Ok(())
    }

    /// Looks at one session when no step is under way, and tells where it is not what was told last.
    async fn compare(self: &Arc<Self>, session: &Arc<Session>) {
        let _turn = session.turn.lock().await;
        let Ok(found) = self.look(session.id).await else { return }; // the gap that follows is compared again
        if found.is_empty() {
            if session.now().told.take().is_some() {
                session.now().ready = None;
                self.tell(session.id);
            }
            return;
        }
        self.adopt(session, &found).await;
        if found.goal() == Goal::Running && self.restarts(session, &found).await {
            return self.tell(session.id);
        }
        let observed = self.observed(session, &found);
        let now = (observed.state, observed.generation);
        let before = session.now().told.replace(now);
        if before.is_some_and(|before| before != now) {
            self.tell(session.id);
        }
    }

    /// A container that runs and was not seen ready by this run: it is asked once.
    pub(crate) async fn adopt(self: &Arc<Self>, session: &Arc<Session>, found: &Found) {
        let unknown = session.now().ready.is_none() || session.now().ready != found.run();
        if found.goal() != Goal::Running || found.status() != Some(Status::RUNNING) || !unknown {
            return;
        }
        let spec = found.spec().unwrap_or_default();
        let path = Block::of(&spec).unwrap_or_default().readiness.and_then(|readiness| readiness.path);
        let check = self.check(found, &spec, path);
        if self.ask(&check, found, &spec, Duration::from_secs(2)).await.is_ok() {
            session.now().ready = found.run();
            self.watch_liveness(session, found, &spec);
        }
    }

    /// Starts a container again that ended, where its template's policy wants that; true where it was.
    async fn restarts(self: &Arc<Self>, session: &Arc<Session>, found: &Found) -> bool {
        let ran = session.now().ready.is_some() && session.now().ready == found.run();
        if !ran || !matches!(found.status(), Some(Status::EXITED)) {
            return false;
        }
        let spec = found.spec().unwrap_or_default();
        let Some(restart) = Block::of(&spec).unwrap_or_default().restart else { return false };
        let code = found.container.as_ref().and_then(|container| container.state.as_ref()?.exit_code);
        let wanted = match restart.policy {
            RestartPolicy::Never => false,
            RestartPolicy::OnFailure => code != Some(0),
            RestartPolicy::Always => true,
        };
        let (most, window) = (restart.max.unwrap_or(RESTARTS), time(restart.window.as_deref(), RESTART_WINDOW));
        if !wanted || !within(session, most, window, found) {
            return false;
        }
        let (why, _step) = (ended(found).message, session.step());
        let (api, name) = (self.api.clone(), self.names.container(session.id));
        let started = session.request(async move { api.start_container(&name, None).await }).await;
        if let Err(error) = started {
            session.now().failure = Some(failed("starts the container again", &error));
            return true;
        }
        let count = session.now().restarts.len();
        session.now().message = Some(format!("{why}; started again, {count} of {most}"));
        let generation = found.generation().unwrap_or_default();
        let Ok(found) = self.look(session.id).await else { return true };
        let _ = self.settle(session, &found, generation).await; // what it came to is looked at by whoever is told
        true
    }
}

/// Notes a restart, unless there were as many as there may be; then the failure says so.
fn within(session: &Session, most: u32, window: Duration, found: &Found) -> bool {
    let mut now = session.now();
    now.restarts.retain(|at| at.elapsed() < window);
    if now.restarts.len() >= most as usize {
        let failure = ended(found);
        now.failure = Some(streams::wire::Failure {
            message: format!("{}, after {most} restarts within {window:?}", failure.message),
            ..failure
        });
        return false;
    }
    now.restarts.push_back(Instant::now());
    true
}

/// Sessions by what they hold; used where a home is claimed.
pub(crate) type Claims = HashMap<String, HashMap<Uuid, bool>>;
