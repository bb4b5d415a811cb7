//! What ends something never waits for what starts something, and a newer command cuts a start short.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use controllers::{
    Config, Driver,
    driver::{Desired, Goal, Observed},
    testing::{PATIENCE, Stage, command},
};
use driver_noop::{Knobs, Noop};
use futures::StreamExt as _;
use streams::{
    subject::Verb,
    topology,
    wire::{Capacity, Failure, SessionState, SessionStatus},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use uuid::Uuid;

use crate::runtime::{create, noop};

/// How long an end may take, whatever else is under way.
const SOON: Duration = Duration::from_secs(2);

/// A table in memory whose steps towards one goal do not come to their end before they are let.
struct Stuck {
    table: Noop,
    at: Goal,
    begun: AtomicUsize,
    gate: Semaphore,
}

impl Stuck {
    fn new(at: Goal) -> Arc<Self> {
        let table = Noop::open(Knobs { delay: Duration::from_millis(1), ..Knobs::default() }).unwrap();
        Arc::new(Self { table, at, begun: AtomicUsize::new(0), gate: Semaphore::new(0) })
    }
}

#[async_trait]
impl Driver for Stuck {
    async fn ensure(&self, desired: &Desired) -> Result<Observed, Failure> {
        if desired.goal == self.at && !desired.force {
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
        }
        self.table.ensure(desired).await
    }

    async fn list(&self) -> Result<Vec<Observed>, Failure> {
        self.table.list().await
    }

    async fn observe(&self, session_id: Uuid) -> Result<Option<Observed>, Failure> {
        self.table.observe(session_id).await
    }

    async fn capacity(&self) -> Capacity {
        self.table.capacity().await
    }

    fn platform(&self) -> &str {
        "stuck"
    }

    fn world_id(&self) -> Uuid {
        self.table.world_id()
    }
}

/// What these tests ask of a stage.
trait Lanes {
    fn hasty(&self, slots: usize) -> Config;
    async fn begin_with(&mut self, config: Config, driver: Arc<dyn Driver>);
    async fn create(&self, session: Uuid) -> Uuid;
    async fn all_are(&mut self, sessions: HashSet<Uuid>, state: SessionState, within: Duration);
    async fn reported_on(&mut self, cause: Uuid) -> Vec<SessionState>;
}

impl Lanes for Stage {
    fn hasty(&self, slots: usize) -> Config {
        Config { slots, stop_patience: Duration::from_millis(100), ..self.config() }
    }

    async fn begin_with(&mut self, config: Config, driver: Arc<dyn Driver>) {
        topology::declare_controller_consumer(&self.jetstream, &self.platform, &self.id).await.unwrap();
        self.start(config, driver);
    }

    async fn create(&self, session: Uuid) -> Uuid {
        let order = create(session, 1);
        self.send(Verb::SessionCreate, &serde_json::to_value(&order).unwrap()).await;
        order.event_id
    }

    /// Waits until each of these sessions was said to be in a state.
    async fn all_are(&mut self, mut sessions: HashSet<Uuid>, state: SessionState, within: Duration) {
        let deadline = Instant::now() + within;
        while !sessions.is_empty() {
            let status = timeout(deadline - Instant::now(), self.status()).await;
            let status = status.unwrap_or_else(|_| panic!("{} are not {state:?} within {within:?}", sessions.len()));
            if status.status == state {
                sessions.remove(&status.session_id);
            }
        }
    }

    /// What has been reported by now that this command caused.
    async fn reported_on(&mut self, cause: Uuid) -> Vec<SessionState> {
        let mut said = Vec::new();
        while let Ok(Some(message)) = timeout(Duration::from_millis(100), self.reports.next()).await {
            if message.subject.starts_with("streamspace.session.status.") {
                let status: SessionStatus = serde_json::from_slice(&message.payload).unwrap();
                said.extend((status.causation_id == Some(cause)).then_some(status.status));
            }
        }
        said
    }
}

fn some(count: usize) -> Vec<Uuid> {
    std::iter::repeat_with(Uuid::new_v4).take(count).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_sessions_in_readiness_keep_neither_an_end_nor_a_start_away_and_none_is_lost_with_its_controller()
{
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let mut stage = Stage::new().await;
    stage.begin_with(stage.hasty(16), noop(Some(&journal))).await;
    let running = Uuid::new_v4();
    stage.create(running).await;
    stage.all_are(HashSet::from([running]), SessionState::Running, PATIENCE).await;
    stage.stop().await;

    let knobs = Knobs { readiness: Duration::from_secs(600), journal: Some(journal.clone()), ..Knobs::default() };
    stage.begin_with(stage.hasty(16), Arc::new(Noop::open(knobs).unwrap())).await;
    let slow = some(2_000);
    let mut causes = Vec::new();
    for session in &slow {
        causes.push(stage.create(*session).await);
    }
    stage.all_are(slow.iter().copied().collect(), SessionState::Creating, Duration::from_secs(60)).await;

    let (starting, cut, another) = (slow[1_000], causes[1_000], Uuid::new_v4());
    stage.send(Verb::SessionDelete, &command(running, 2)).await;
    stage.send(Verb::SessionDelete, &command(starting, 2)).await;
    stage.create(another).await;
    stage.all_are(HashSet::from([running, starting]), SessionState::Deleted, SOON).await;
    let deadline = Instant::now() + PATIENCE;
    while stage.open_commands().await != 2_000 {
        assert!(Instant::now() < deadline, "what was cut is not acknowledged");
    }
    assert_eq!(stage.reported_on(cut).await, [], "a cut step reports nothing more");
    stage.stop().await;

    stage.begin_with(stage.hasty(16), noop(Some(&journal))).await;
    let rest = slow.into_iter().filter(|session| *session != starting).chain([another]).collect();
    stage.all_are(rest, SessionState::Running, Duration::from_secs(60)).await;
    stage.all_acknowledged().await;
    stage.stop().await;
}

#[tokio::test]
async fn an_end_passes_all_starts_that_hold_or_wait_for_slots() {
    let (mut stage, driver) = (Stage::new().await, Stuck::new(Goal::Running));
    stage.begin_with(stage.hasty(2), driver.clone()).await;
    let sessions = some(300);
    let mut causes = Vec::new();
    for session in &sessions {
        causes.push(stage.create(*session).await);
    }
    controllers::testing::until("both slots are taken", || driver.begun.load(Ordering::SeqCst) == 2).await;
    let ended = [sessions[0], sessions[150], sessions[299], Uuid::new_v4()];
    for session in ended {
        stage.send(Verb::SessionDelete, &command(session, 2)).await;
    }
    stage.all_are(ended.into(), SessionState::Deleted, SOON).await;
    controllers::testing::until("the slot of what was cut is taken again", || driver.begun.load(Ordering::SeqCst) == 3)
        .await;
    assert_eq!(stage.reported_on(causes[150]).await, [], "what never began is not reported on");
    stage.stop().await;
}

#[tokio::test]
async fn what_stops_or_deletes_is_left_to_its_end_and_only_force_cuts_it() {
    for goal in [Goal::Hibernated, Goal::Deleted] {
        let (mut stage, driver) = (Stage::new().await, Stuck::new(goal));
        stage.begin_with(stage.hasty(2), driver.clone()).await;
        let (saved, forced) = (Uuid::new_v4(), Uuid::new_v4());
        let verb = if goal == Goal::Deleted { Verb::SessionDelete } else { Verb::SessionHibernate };
        for session in [saved, forced] {
            stage.create(session).await;
            stage.all_are(HashSet::from([session]), SessionState::Running, PATIENCE).await;
            stage.send(verb, &command(session, 2)).await;
        }
        controllers::testing::until("both are under way", || driver.begun.load(Ordering::SeqCst) == 2).await;
        stage.send(Verb::SessionDelete, &command(saved, 3)).await;
        let mut order = command(forced, 3);
        order["force"] = true.into();
        stage.send(Verb::SessionDelete, &order).await;
        stage.all_are(HashSet::from([forced]), SessionState::Deleted, SOON).await;
        assert_eq!(driver.observe(saved).await.unwrap().unwrap().state, SessionState::Running, "{goal:?}");
        driver.gate.add_permits(10);
        stage.all_are(HashSet::from([saved]), SessionState::Deleted, PATIENCE).await;
        stage.all_acknowledged().await;
        stage.stop().await;
    }
}
