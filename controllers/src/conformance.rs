//! The promises of [`Driver`](crate::Driver) as a suite that every driver runs against its real platform.
//!
//! Each promise works with sessions of its own and deletes them; what is left is the next promise's problem, and the
//! last one's finding.

mod applications;
mod cuts;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use streams::wire::{Failure, SessionState};
use uuid::Uuid;

use applications::{bad_manifest, install_and_uninstall};
use cuts::{abandoned_call, cut_anywhere};

use crate::driver::{Desired, Driver, Goal, Observed, Spec};
use crate::promise::Promise;

/// How the suite gets at a platform.
#[async_trait]
pub trait Platform: Send + Sync {
    /// Opens the driver on its world. Dropping every clone of what it gives back and opening again is a restart.
    async fn open(&self) -> Arc<dyn Driver>;

    /// A template that this platform can run, with a persistent home.
    fn spec(&self) -> Spec;

    /// Names, independent of the driver, of what really exists for a session: processes, folders, containers.
    async fn traces(&self, session: Uuid) -> Vec<String>;

    /// Writes something into the home of a running session.
    async fn write(&self, session: Uuid, text: &str);

    /// Reads it back.
    async fn read(&self, session: Uuid) -> Option<String>;
}

/// A promise that was not kept.
#[derive(Debug, thiserror::Error)]
#[error("{promise}: {why}")]
pub struct Broken {
    /// The promise.
    pub promise: Promise,
    /// How it showed.
    pub why: String,
}

type Kept<'a> = BoxFuture<'a, Result<(), String>>;
type Check = for<'a> fn(&'a dyn Platform) -> Kept<'a>;

/// How a promise is checked in process; `None` where only the suite from outside can check it.
#[must_use]
pub fn check(promise: Promise) -> Option<Check> {
    Some(match promise {
        Promise::CreateTwice => |p| Box::pin(create_twice_is_once(p)),
        Promise::NewerGeneration => |p| Box::pin(newer_generation_adopts(p)),
        Promise::StaleGeneration => |p| Box::pin(stale_generation(p)),
        Promise::DeleteUnknown => |p| Box::pin(delete_of_the_unknown(p)),
        Promise::HibernateWake => |p| Box::pin(hibernate_and_wake(p)),
        Promise::ScratchHome => |p| Box::pin(hibernating_keeps_scratch(p)),
        Promise::DeleteAll => |p| Box::pin(delete_leaves_nothing(p)),
        Promise::InstallTwice => |p| Box::pin(install_and_uninstall(p)),
        Promise::BadManifest => |p| Box::pin(bad_manifest(p)),
        Promise::Inventory => |p| Box::pin(list_tells_all(p)),
        Promise::AbandonedCall => |p| Box::pin(abandoned_call(p)),
        Promise::CutAnywhere => |p| Box::pin(cut_anywhere(p)),
        Promise::RestartAdopts => |p| Box::pin(restart_adopts(p)),
        Promise::Heartbeat
        | Promise::Refused
        | Promise::InventoryFirst
        | Promise::Reports
        | Promise::ReportThenAck
        | Promise::Page
        | Promise::Duplicates
        | Promise::Reorder
        | Promise::UnknownSession
        | Promise::HostileNames
        | Promise::BadTemplate
        | Promise::NeverReady
        | Promise::CancelledStart
        | Promise::Unreadable
        | Promise::TemplateDelete
        | Promise::Nodes
        | Promise::ManyAtOnce
        | Promise::Resync
        | Promise::Killed
        | Promise::Standby
        | Promise::StopInOrder
        | Promise::NoCapacity
        | Promise::NothingLeft => return None,
    })
}

/// Holds a platform to every promise that can be checked in process.
///
/// # Errors
/// The first promise that is not kept.
pub async fn verify(platform: &dyn Platform) -> Result<(), Broken> {
    for promise in Promise::ALL.iter().copied() {
        if let Some(check) = check(promise) {
            check(platform).await.map_err(|why| Broken { promise, why })?;
        }
    }
    Ok(())
}

/// One session under test.
struct Subject {
    id: Uuid,
    spec: Arc<Spec>,
}

impl Subject {
    fn new(platform: &dyn Platform) -> Self {
        Self { id: Uuid::new_v4(), spec: Arc::new(platform.spec()) }
    }

    fn desired(&self, goal: Goal, generation: i64) -> Desired {
        Desired {
            session_id: self.id,
            user_id: format!("conformance-{}", self.id), // a home is used by one session at a time
            generation,
            goal,
            force: false,
            spec: (goal == Goal::Running).then(|| self.spec.clone()),
            installation: "conformance".into(),
        }
    }

    async fn ensure(&self, driver: &dyn Driver, goal: Goal, generation: i64) -> Result<Observed, String> {
        let observed = driver.ensure(&self.desired(goal, generation)).await.map_err(|e| said(&e))?;
        same(&observed.session_id, &self.id, "the answer's session")?;
        Ok(observed)
    }

    async fn reach(&self, driver: &dyn Driver, goal: Goal, generation: i64) -> Result<Observed, String> {
        let observed = self.ensure(driver, goal, generation).await?;
        same(&observed.state, &goal.state(), "the state that was reached")?;
        same(&observed.generation, &generation, "the generation in the answer")?;
        Ok(observed)
    }

    async fn listed(&self, driver: &dyn Driver) -> Result<Vec<Observed>, String> {
        let all = driver.list().await.map_err(|e| said(&e))?;
        Ok(all.into_iter().filter(|observed| observed.session_id == self.id).collect())
    }

    async fn delete(&self, driver: &dyn Driver) -> Result<(), String> {
        self.reach(driver, Goal::Deleted, i64::MAX).await.map(drop)
    }
}

async fn create_twice_is_once(platform: &dyn Platform) -> Result<(), String> {
    let (driver, subject) = (platform.open().await, Subject::new(platform));
    let first = subject.reach(&*driver, Goal::Running, 1).await?;
    let traces = platform.traces(subject.id).await;
    let second = subject.reach(&*driver, Goal::Running, 1).await?;
    same(&second.url, &first.url, "the url")?;
    same(&second.resource_name, &first.resource_name, "what runs it")?;
    same(&platform.traces(subject.id).await, &traces, "what exists")?;
    let other = Subject::new(platform);
    let (a, b) = tokio::join!(other.reach(&*driver, Goal::Running, 1), other.reach(&*driver, Goal::Running, 1));
    same(&a?.resource_name, &b?.resource_name, "what two calls at once made")?;
    other.delete(&*driver).await?;
    subject.delete(&*driver).await
}

async fn newer_generation_adopts(platform: &dyn Platform) -> Result<(), String> {
    let (driver, subject) = (platform.open().await, Subject::new(platform));
    let first = subject.reach(&*driver, Goal::Running, 1).await?;
    let second = subject.reach(&*driver, Goal::Running, 5).await?;
    same(&second.resource_name, &first.resource_name, "what runs it")?;
    subject.delete(&*driver).await
}

async fn delete_of_the_unknown(platform: &dyn Platform) -> Result<(), String> {
    let (driver, subject) = (platform.open().await, Subject::new(platform));
    subject.reach(&*driver, Goal::Deleted, 3).await?;
    same(&subject.listed(&*driver).await?.len(), &0, "its entries in the list")?;
    same(&platform.traces(subject.id).await, &Vec::new(), "what exists")
}

async fn hibernate_and_wake(platform: &dyn Platform) -> Result<(), String> {
    sleep_and_remember(platform, Subject::new(platform)).await
}

async fn hibernating_keeps_scratch(platform: &dyn Platform) -> Result<(), String> {
    let spec = Spec { persistent_home: false, ..platform.spec() };
    sleep_and_remember(platform, Subject { id: Uuid::new_v4(), spec: Arc::new(spec) }).await
}

async fn sleep_and_remember(platform: &dyn Platform, subject: Subject) -> Result<(), String> {
    let driver = platform.open().await;
    subject.reach(&*driver, Goal::Running, 1).await?;
    platform.write(subject.id, "remember").await;
    let asleep = subject.reach(&*driver, Goal::Hibernated, 2).await?;
    same(&asleep.url, &None, "the url of what does not run")?;
    let listed = subject.listed(&*driver).await?;
    same(&listed.iter().map(|o| o.state).collect::<Vec<_>>(), &vec![SessionState::Hibernated], "the list")?;
    let awake = subject.reach(&*driver, Goal::Running, 3).await?;
    if awake.url.is_none() {
        return Err("it was woken without a url".into());
    }
    same(&platform.read(subject.id).await.as_deref(), &Some("remember"), "its home")?;
    subject.delete(&*driver).await
}

async fn stale_generation(platform: &dyn Platform) -> Result<(), String> {
    let (driver, subject) = (platform.open().await, Subject::new(platform));
    let running = subject.reach(&*driver, Goal::Running, 7).await?;
    for goal in [Goal::Hibernated, Goal::Deleted, Goal::Running] {
        let answer = subject.ensure(&*driver, goal, 6).await?;
        same(&(answer.state, answer.generation), &(SessionState::Running, 7), "the world in the answer")?;
        same(&answer.resource_name, &running.resource_name, "what runs it")?;
    }
    subject.reach(&*driver, Goal::Hibernated, 8).await?;
    let answer = subject.ensure(&*driver, Goal::Running, 7).await?;
    same(&answer.state, &SessionState::Hibernated, "the state after a stale wake")?;
    subject.delete(&*driver).await
}

async fn list_tells_all(platform: &dyn Platform) -> Result<(), String> {
    let (driver, runs, sleeps) = (platform.open().await, Subject::new(platform), Subject::new(platform));
    runs.reach(&*driver, Goal::Running, 4).await?;
    sleeps.reach(&*driver, Goal::Running, 1).await?;
    sleeps.reach(&*driver, Goal::Hibernated, 2).await?;
    for (subject, state, generation) in [(&runs, SessionState::Running, 4), (&sleeps, SessionState::Hibernated, 2)] {
        let listed = subject.listed(&*driver).await?;
        let [one] = listed.as_slice() else { return Err(format!("{} entries instead of one", listed.len())) };
        same(&(one.state, one.generation), &(state, generation), "state and generation in the list")?;
        same(&one.spec.as_ref(), &Some(&subject.spec), "the spec in the list")?;
        let observed = driver.observe(subject.id).await.map_err(|e| said(&e))?;
        same(&observed.map(|o| o.state), &Some(state), "the state of the one observed")?;
        subject.delete(&*driver).await?;
    }
    Ok(())
}

async fn delete_leaves_nothing(platform: &dyn Platform) -> Result<(), String> {
    let driver = platform.open().await;
    for force in [false, true] {
        let subject = Subject::new(platform);
        subject.reach(&*driver, Goal::Running, 1).await?;
        platform.write(subject.id, "secret").await;
        let desired = Desired { force, ..subject.desired(Goal::Deleted, 2) };
        for _ in 0..2 {
            let answer = driver.ensure(&desired).await.map_err(|e| said(&e))?;
            same(&answer.state, &SessionState::Deleted, "the state")?;
        }
        same(&platform.traces(subject.id).await, &Vec::new(), "what exists")?;
        same(&subject.listed(&*driver).await?.len(), &0, "its entries in the list")?;
    }
    Ok(())
}

async fn restart_adopts(platform: &dyn Platform) -> Result<(), String> {
    let (driver, subject) = (platform.open().await, Subject::new(platform));
    let world = driver.world_id();
    let before = subject.reach(&*driver, Goal::Running, 2).await?;
    drop(driver);
    let driver = platform.open().await;
    same(&driver.world_id(), &world, "the world's id")?;
    let listed = subject.listed(&*driver).await?;
    same(
        &listed.iter().map(|o| (o.state, o.generation)).collect::<Vec<_>>(),
        &vec![(SessionState::Running, 2)],
        "the list",
    )?;
    let after = subject.reach(&*driver, Goal::Running, 2).await?;
    same(&(after.resource_name, after.url), &(before.resource_name, before.url), "what runs it")?;
    subject.delete(&*driver).await?;
    same(&platform.traces(subject.id).await, &Vec::new(), "what exists after its deletion")
}

fn said(failure: &Failure) -> String {
    format!("the driver failed with {}: {}", failure.code, failure.message)
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T, what: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} should be {expected:?}, and is {found:?}")) }
}

#[cfg(test)]
mod tests {
    use super::{Promise, check};
    use crate::promise::Level;

    #[test]
    fn every_promise_about_a_driver_is_checked_in_process() {
        for promise in Promise::ALL.iter().copied() {
            assert_eq!(check(promise).is_some(), promise.level() != Level::Wire, "{promise:?}");
        }
    }
}
