//! When a container counts as running: its check passes. Afterwards the same kind of check tells whether it still lives.

use std::{io, sync::Arc, time::Duration};

use bollard::models::{ContainerStateStatusEnum as Status, HealthStatusEnum as Health};
use controllers::driver::{Spec, retryable};
use controllers::probe;
use streams::wire::{Failure, Scope};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{
    Host,
    block::{Block, time},
    look::Found,
    session::{Session, ended},
};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const ONE_ANSWER: Duration = Duration::from_secs(5);
/// The engine's proxy accepts a connection before the container does, and drops it at once where that does not.
const PROXY: Duration = Duration::from_millis(200);

/// How a container is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// A path of its port has to answer below 500.
    Http(String),
    /// Its image has a health check, and the engine says what that came to.
    Image,
    /// Its port has to accept.
    Tcp,
    /// It has no port: it is enough that it runs.
    None,
}

impl Host {
    /// How a container is asked whether it is ready.
    pub(crate) fn check(&self, found: &Found, spec: &Spec, path: Option<String>) -> Check {
        let webapp = spec.template.as_ref().and_then(|template| template.spec.webapp.as_ref());
        let path = path.or_else(|| webapp.and_then(|webapp| webapp.health_check.clone()));
        let legal = |path: &String| path.starts_with('/') && !path.chars().any(|c| c.is_whitespace() || c.is_control());
        match (path.filter(legal), health(found), self.published(found, Some(spec))) {
            (Some(path), _, Some(_)) => Check::Http(path),
            (None, Some(_), _) => Check::Image,
            (_, _, Some(_)) => Check::Tcp,
            _ => Check::None,
        }
    }

    /// Asks once.
    pub(crate) async fn ask(&self, check: &Check, found: &Found, spec: &Spec, within: Duration) -> Result<(), String> {
        let port = self.published(found, Some(spec)).unwrap_or_default();
        let asked = async {
            match check {
                Check::None => Ok(()),
                Check::Image => match health(found) {
                    Some(Health::HEALTHY) => Ok(()),
                    other => Err(io::Error::other(format!("the image's health check says {other:?}"))),
                },
                Check::Tcp => self.connects(port).await,
                Check::Http(path) => probe::answers(self.connect(port).await?, "localhost", path).await,
            }
        };
        let asked = timeout(within, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        asked.map_err(|e| e.to_string())
    }

    async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        TcpStream::connect(format!("{}:{port}", self.published_at())).await
    }

    async fn connects(&self, port: u16) -> io::Result<()> {
        let mut stream = self.connect(port).await?;
        match timeout(PROXY, stream.read(&mut [0; 1])).await {
            Ok(Ok(0)) => Err(io::Error::other(format!("port {port} closes at once"))),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }

    /// Waits until it is ready. A newer generation ends the wait and leaves everything as it is: that one decides.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        session: &Arc<Session>,
        found: &Found,
        generation: i64,
    ) -> Result<(), Failure> {
        let spec = found.spec().unwrap_or_default();
        let block = Block::of(&spec).unwrap_or_default();
        let mut newest = session.wanted.subscribe();
        let ready = tokio::select! {
            biased;
            _ = newest.wait_for(|wanted| *wanted > generation) => {
                return Err(retryable("superseded", "a newer command for this session has come").of(Scope::Session));
            }
            ready = self.ready(session, &spec, &block) => ready,
        };
        match ready {
            Ok(found) => {
                session.now().ready = found.run();
                self.watch_liveness(session, &found, &spec);
                Ok(())
            }
            Err(failure) => {
                let message = format!("{}{}", failure.message, self.tail(session.id).await);
                let failure = Failure { message, ..failure };
                self.stop(session, Duration::ZERO).await?;
                session.now().failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    /// The container once it is ready.
    async fn ready(&self, session: &Session, spec: &Spec, block: &Block) -> Result<Found, Failure> {
        let patience = block.readiness_timeout();
        let (deadline, mut pause) = (Instant::now() + patience, FIRST_PAUSE);
        let path = block.readiness.as_ref().and_then(|readiness| readiness.path.clone());
        loop {
            let found = Found { container: self.container(session.id).await?, marks: Vec::new() };
            if found.status() != Some(Status::RUNNING) {
                let failure = ended(&found);
                let message = format!("{}, before it was ready", failure.message);
                return Err(Failure { message, user_error: true, ..failure });
            }
            let check = self.check(&found, spec, path.clone());
            let Err(why) = self.ask(&check, &found, spec, ONE_ANSWER).await else { return Ok(found) };
            if Instant::now() >= deadline {
                let message = format!("it was not ready within {patience:?} ({why})");
                return Err(retryable("not_ready", message).of(Scope::Session));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Checks a container that is ready for as long as this run of it lives, where its template asks for that.
    pub(crate) fn watch_liveness(self: &Arc<Self>, session: &Arc<Session>, found: &Found, spec: &Spec) {
        let block = Block::of(spec).unwrap_or_default();
        let webapp = spec.template.as_ref().and_then(|template| template.spec.webapp.as_ref());
        if block.liveness.is_none() && webapp.and_then(|webapp| webapp.health_check.as_ref()).is_none() {
            return;
        }
        let liveness = block.liveness.unwrap_or_default();
        let interval = time(liveness.interval.as_deref(), Duration::from_secs(30)).max(Duration::from_secs(1));
        let within = time(liveness.timeout.as_deref(), ONE_ANSWER);
        let most = liveness.failures.unwrap_or(3).max(1);
        let (host, session, spec) = (Arc::downgrade(self), Arc::downgrade(session), spec.clone());
        let (closed, run, found) = (self.closed.clone(), found.run(), found.clone());
        tokio::spawn(async move {
            let mut failures = 0;
            while closed.run_until_cancelled(sleep(interval)).await.is_some() {
                let (Some(host), Some(session)) = (host.upgrade(), session.upgrade()) else { return };
                if session.now().ready != run {
                    return;
                }
                let check = host.check(&found, &spec, liveness.path.clone());
                let Err(why) = host.ask(&check, &found, &spec, within).await else {
                    failures = 0;
                    continue;
                };
                failures += 1;
                if failures >= most {
                    return host.unwell(&session, &run, &format!("failed {failures} liveness checks: {why}")).await;
                }
            }
        });
    }

    /// A container that runs and is not well: it is stopped, and that is told.
    pub(crate) async fn unwell(self: &Arc<Self>, session: &Arc<Session>, run: &Option<String>, why: &str) {
        let _turn = session.turn.lock().await;
        if session.now().ready != *run {
            return;
        }
        let failure = retryable("unhealthy", format!("its container {why}")).of(Scope::Session);
        session.now().failure = Some(failure);
        if let Err(error) = self.stop(session, Duration::ZERO).await {
            tracing::warn!(session.id = %session.id, error = error.message, "a container that is not well cannot be stopped");
        }
        session.now().ready = None;
        self.tell(session.id);
    }
}

fn health(found: &Found) -> Option<Health> {
    let health = found.container.as_ref()?.state.as_ref()?.health.as_ref()?.status?;
    (!matches!(health, Health::NONE | Health::EMPTY)).then_some(health)
}
