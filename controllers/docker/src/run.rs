//! From a goal to a container that matches it. Each step first marks what is to be; a step that was cut, or a controller that
//! died, leaves a mark from which the next call goes on.

use std::{sync::Arc, time::Duration};

use bollard::{
    models::ContainerStateStatusEnum as Status,
    query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder},
};
use controllers::driver::{Desired, Goal, Observed, Spec, Stage, retryable, user_error};
use streams::{
    crash::{Moment, point},
    wire::{Failure, Scope},
};

use super::{
    Host,
    block::{Block, Hibernate},
    engine::{PATIENCE, done, failed, status},
    look::Found,
    names::Role,
    plan::{Making, Plan},
    session::Session,
};

impl Host {
    pub(crate) async fn ensure(self: &Arc<Self>, desired: &Desired, stage: &Stage) -> Result<Observed, Failure> {
        let session = self.session(desired.session_id);
        session.want(desired.generation);
        let _turn = session.turn.lock().await;
        session.settled().await;
        let found = self.look(session.id).await?;
        if found.generation().is_some_and(|newest| newest > desired.generation) {
            return Ok(self.observed(&session, &found));
        }
        let step = session.step();
        let answer = match desired.goal {
            Goal::Running => self.run(&session, desired, stage, found).await,
            Goal::Hibernated => self.hibernate(&session, desired, found).await,
            Goal::Deleted => self.delete(&session, desired, found).await,
        };
        drop(step);
        if let Ok(observed) = &answer {
            session.now().told = Some((observed.state, observed.generation));
        }
        answer
    }

    async fn run(
        self: &Arc<Self>,
        session: &Arc<Session>,
        desired: &Desired,
        stage: &Stage,
        mut found: Found,
    ) -> Result<Observed, Failure> {
        // a step that was cut may have asked the engine for an end that has not come yet: what is on its way out is not taken for alive
        let cut = |goal| found.marks.iter().any(|mark| mark.goal == goal);
        if matches!(found.status(), Some(Status::DEAD | Status::REMOVING)) || cut(Goal::Deleted) {
            self.remove_container(session).await?;
            found.container = None;
        } else if found.status() == Some(Status::RUNNING) && cut(Goal::Hibernated) {
            let block = found.spec().map(|spec| Block::of(&spec).unwrap_or_default()).unwrap_or_default();
            self.stop(session, self.grace(&block, desired.force)).await?;
            found = self.look(session.id).await?;
        }
        let plan = match &found.container {
            Some(_) => None,
            None => Some((self.spec(desired)?, Plan::of(&*self.spec(desired)?, &self.config)?)),
        };
        self.mark(desired, &found).await?;
        if let Some((spec, plan)) = plan {
            self.create(session, desired, &spec, &plan, &found, stage).await?;
        }
        let ready = found.status() == Some(Status::RUNNING) && session.now().ready == found.run();
        if !ready {
            session.now().failure = None;
            self.start(session, &found).await?;
        }
        self.remove_marks(&found, desired.generation).await?;
        let found = self.look(session.id).await?;
        if !ready {
            stage.waits_for_readiness();
            self.settle(session, &found, desired.generation).await?;
        }
        Ok(self.observed(session, &found))
    }

    fn spec(&self, desired: &Desired) -> Result<Arc<Spec>, Failure> {
        let missing =
            || user_error("no_spec", "there is no container, and nothing says what to make it from").of(Scope::Session);
        desired.spec.clone().ok_or_else(missing)
    }

    async fn create(
        self: &Arc<Self>,
        session: &Session,
        desired: &Desired,
        spec: &Spec,
        plan: &Plan,
        found: &Found,
        stage: &Stage,
    ) -> Result<(), Failure> {
        let pinned = found.image();
        let policy = plan.block.pull.unwrap_or(self.config.pull);
        let say = |message: String| stage.say(message);
        let image = self.pulls.ensure(&self.api, &plan.image, pinned.as_deref(), policy, &say).await?;
        let home = match spec.persistent_home {
            true => Some(self.home(&desired.user_id).await?),
            false => None,
        };
        let making =
            Making { desired, spec, config: &self.config, names: &self.names, image: &image, home: home.as_deref() };
        let options = CreateContainerOptionsBuilder::default().name(&self.names.container(desired.session_id)).build();
        let (api, body) = (self.api.clone(), plan.container(&making));
        match session.request(async move { api.create_container(Some(options), body).await }).await {
            Ok(_) => {}
            Err(error) if status(&error) == Some(409) => {} // made by a call that was cut
            Err(error) => return Err(failed("makes the container", &error)),
        }
        point("driver.ensure", Moment::During); // the worst one: there is a container, and it does not run
        Ok(())
    }

    /// Starts, or thaws, what does not run.
    async fn start(&self, session: &Session, before: &Found) -> Result<(), Failure> {
        let name = self.names.container(session.id);
        let paused = before.status() == Some(Status::PAUSED);
        if before.status() == Some(Status::RUNNING) {
            return Ok(());
        }
        let _claim = self.claim_home(session.id).await?;
        let api = self.api.clone();
        let request = async move {
            match paused {
                true => api.unpause_container(&name).await,
                false => api.start_container(&name, None).await,
            }
        };
        let started = session.request(request).await;
        match started {
            Err(error) if status(&error) != Some(304) => Err(failed("starts the container", &error)),
            _ => Ok(()),
        }
    }

    async fn hibernate(&self, session: &Arc<Session>, desired: &Desired, found: Found) -> Result<Observed, Failure> {
        self.mark(desired, &found).await?;
        let block = found.spec().map(|spec| Block::of(&spec).unwrap_or_default()).unwrap_or_default();
        if found.status() == Some(Status::RUNNING) && block.hibernate == Hibernate::Pause && !desired.force {
            let (api, name) = (self.api.clone(), self.names.container(session.id));
            let paused = session.request(async move { api.pause_container(&name).await }).await;
            done(paused).map_err(|e| failed("pauses the container", &e))?;
        } else if found.container.is_some() && found.status() != Some(Status::PAUSED) {
            self.stop(session, self.grace(&block, desired.force)).await?;
        }
        self.quiet(session);
        self.remove_marks(&found, desired.generation).await?;
        let found = self.look(session.id).await?;
        Ok(self.observed(session, &found))
    }

    async fn delete(&self, session: &Arc<Session>, desired: &Desired, found: Found) -> Result<Observed, Failure> {
        let deleted = Observed::deleted(session.id, desired.generation);
        let scratch = self.volumes(Role::Scratch, Some(session.id)).await?;
        if found.is_empty() && scratch.is_empty() {
            self.forget(session);
            return Ok(deleted);
        }
        self.mark(desired, &found).await?;
        let block = found.spec().map(|spec| Block::of(&spec).unwrap_or_default()).unwrap_or_default();
        if found.status() == Some(Status::RUNNING) && !desired.force {
            self.stop(session, self.grace(&block, false)).await?;
        }
        self.remove_container(session).await?;
        for volume in self.volumes(Role::Scratch, Some(session.id)).await? {
            self.remove_volume(&volume.name).await?;
        }
        self.remove_marks(&found, i64::MAX).await?;
        self.remove_volume(&self.names.mark(session.id, desired.generation)).await?;
        self.quiet(session);
        self.forget(session);
        Ok(deleted)
    }

    pub(crate) fn grace(&self, block: &Block, force: bool) -> Duration {
        if force { Duration::ZERO } else { block.grace(self.config.grace) }
    }

    /// Stops the container: SIGTERM, and SIGKILL after the grace.
    pub(crate) async fn stop(&self, session: &Session, grace: Duration) -> Result<(), Failure> {
        let options = StopContainerOptionsBuilder::default().t(grace.as_secs().min(i32::MAX as u64) as i32).build();
        let patient = self.api.clone().with_timeout(PATIENCE + grace);
        let name = self.names.container(session.id);
        let stopped = session.request(async move { patient.stop_container(&name, Some(options)).await }).await;
        done(stopped).map_err(|e| failed("stops the container", &e))
    }

    /// Removes the container with the volumes that have no name. The engine may be at that already.
    async fn remove_container(&self, session: &Session) -> Result<(), Failure> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let name = self.names.container(session.id);
        let (api, container) = (self.api.clone(), name.clone());
        let removed = session.request(async move { api.remove_container(&container, Some(options)).await }).await;
        done(removed).map_err(|e| failed("removes the container", &e))?;
        let mut pause = Duration::from_millis(20);
        while self.container(session.id).await?.is_some() {
            if pause > Duration::from_secs(10) {
                return Err(retryable("stop_timeout", format!("container {name} is not removed")).of(Scope::Session));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(())
    }

    /// What only a running session has.
    fn quiet(&self, session: &Session) {
        let mut now = session.now();
        (now.ready, now.failure, now.message, now.usage, now.connections, now.sample) =
            (None, None, None, None, None, None);
        now.restarts.clear();
    }
}
