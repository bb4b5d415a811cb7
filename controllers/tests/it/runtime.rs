//! The runtime against a real NATS server, with the streams as the engine declares them.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use controllers::{
    Config, Driver,
    drivers::{
        local::Local,
        noop::{Knobs, Noop},
    },
};
use futures::StreamExt;
use serde_json::{Value, json};
use streams::{
    connect::Link,
    ids::{ControllerId, Platform},
    subject::{self, Verb},
    testing::{Nats, nats},
    topology,
    wire::{AppState, AppStatus, Heartbeat, SessionCreate, SessionState, SessionStatus, World},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{self, server, until};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server, a controller on it, and what the engine would see.
pub(crate) struct Stage {
    nats: Nats,
    client: async_nats::Client,
    pub(crate) jetstream: async_nats::jetstream::Context,
    pub(crate) platform: Platform,
    pub(crate) id: ControllerId,
    pub(crate) reports: async_nats::Subscriber,
    cancel: CancellationToken,
    running: Option<JoinHandle<Result<(), controllers::Error>>>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let nats = nats().await;
        let Link { client, jetstream, .. } = nats.declared().await.unwrap();
        let reports = client.subscribe("streamspace.>").await.unwrap();
        let (platform, id) = (Platform::try_new("test").unwrap(), ControllerId::try_new("host-1").unwrap());
        client.flush().await.unwrap();
        Self { nats, client, jetstream, platform, id, reports, cancel: CancellationToken::new(), running: None }
    }

    pub(crate) fn config(&self) -> Config {
        let nats = self.nats.config("controller");
        let heartbeat_interval = Duration::from_millis(500);
        Config { heartbeat_interval, ..Config::new(self.id.clone(), self.platform.clone(), nats) }
    }

    pub(crate) fn start(&mut self, config: Config, driver: Arc<dyn Driver>) {
        self.cancel = CancellationToken::new();
        self.running = Some(tokio::spawn(controllers::run(config, driver, self.cancel.clone())));
    }

    /// Plays the engine's part after the first heartbeat.
    pub(crate) async fn begin(&mut self, driver: Arc<dyn Driver>) -> (Heartbeat, World) {
        self.start(self.config(), driver);
        let heartbeat = self.next::<Heartbeat>(subject::HEARTBEAT).await;
        topology::declare_controller_consumer(&self.jetstream, &self.platform, &self.id).await.unwrap();
        let world = self.next::<World>("streamspace.controller.world.test.host-1").await;
        (heartbeat, world)
    }

    pub(crate) async fn stop(&mut self) {
        self.cancel.cancel();
        timeout(PATIENCE, self.running.take().unwrap()).await.unwrap().unwrap().unwrap();
    }

    /// The next message on a subject; those on others are passed over.
    pub(crate) async fn next<T: serde::de::DeserializeOwned>(&mut self, subject: &str) -> T {
        loop {
            let message = timeout(PATIENCE, self.reports.next()).await.expect(subject).unwrap();
            if message.subject.as_str() == subject {
                return serde_json::from_slice(&message.payload).unwrap();
            }
        }
    }

    pub(crate) async fn status(&mut self) -> SessionStatus {
        self.next("streamspace.session.status.test.host-1").await
    }

    pub(crate) async fn send(&self, verb: Verb, payload: &Value) {
        let subject = subject::command(verb, &self.platform, &self.id);
        self.jetstream.publish(subject, payload.to_string().into()).await.unwrap().await.unwrap();
    }

    /// Commands that are not acknowledged yet.
    pub(crate) async fn open_commands(&self) -> u64 {
        self.jetstream.get_stream("SS_COMMANDS").await.unwrap().get_info().await.unwrap().state.messages
    }

    pub(crate) async fn all_acknowledged(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.open_commands().await > 0 {
            assert!(tokio::time::Instant::now() < deadline, "a command stays unacknowledged");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn create(session: Uuid, generation: i64) -> SessionCreate {
    let spec = server();
    SessionCreate {
        event_id: Uuid::now_v7(),
        timestamp: Utc::now(),
        session_id: session,
        user_id: "user1".into(),
        template_id: spec.template_id,
        platform: "test".into(),
        resources: spec.resources,
        persistent_home: true,
        idle_timeout: None,
        metadata: serde_json::Map::new(),
        template: spec.template,
        generation,
        attempt: 1,
    }
}

pub(crate) fn command(session: Uuid, generation: i64) -> Value {
    json!({ "event_id": Uuid::now_v7(), "timestamp": Utc::now(), "session_id": session, "user_id": "user1",
        "platform": "test", "generation": generation, "attempt": 1 })
}

pub(crate) fn noop(journal: Option<&Path>) -> Arc<dyn Driver> {
    Arc::new(Noop::open(Knobs { journal: journal.map(Into::into), ..Knobs::default() }).unwrap())
}

#[tokio::test]
async fn a_create_is_announced_done_and_reported_with_its_cause() {
    let (world, session) = (world::World::new(), Uuid::new_v4());
    let mut stage = Stage::new().await;
    let (heartbeat, told) = stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    assert_eq!(heartbeat.protocol, Some(2));
    assert!(heartbeat.capacity.unwrap().sessions_max > 0);
    assert!(told.last && told.sessions.is_empty());
    assert_eq!(Some(told.instance_id), heartbeat.instance_id);

    let order = create(session, 3);
    stage.send(Verb::SessionCreate, &serde_json::to_value(&order).unwrap()).await;
    let (first, last) = (stage.status().await, stage.status().await);
    for status in [&first, &last] {
        assert_eq!((status.session_id, status.causation_id), (session, Some(order.event_id)));
        assert_eq!((status.generation, status.attempt), (Some(3), Some(1)));
        assert_eq!((status.controller_id.as_deref(), status.instance_id), (Some("host-1"), heartbeat.instance_id));
    }
    assert_eq!((first.status, last.status), (SessionState::Creating, SessionState::Running));
    assert!(last.url.unwrap().starts_with("http://127.0.0.1:"));
    stage.all_acknowledged().await;

    world::kill(world.pid(session));
    let died = stage.status().await;
    assert_eq!((died.status, died.generation, died.causation_id), (SessionState::Failed, Some(3), None));
    assert_eq!(died.error.unwrap().code, "process_exited");

    stage.send(Verb::SessionDelete, &command(session, 4)).await;
    assert_eq!(stage.status().await.status, SessionState::Deleting);
    assert_eq!(stage.status().await.status, SessionState::Deleted);
    stage.stop().await;
    assert!(!world.session_folder(session).exists());
}

#[tokio::test]
async fn a_failed_attempt_is_a_report_and_then_acknowledged() {
    let (world, mut stage) = (world::World::new(), Stage::new().await);
    stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    let order = SessionCreate { template: None, ..create(Uuid::new_v4(), 1) };
    stage.send(Verb::SessionCreate, &serde_json::to_value(&order).unwrap()).await;
    assert_eq!(stage.status().await.status, SessionState::Creating);
    let failed = stage.status().await;
    assert_eq!((failed.status, failed.causation_id), (SessionState::Failed, Some(order.event_id)));
    let error = failed.error.unwrap();
    assert_eq!((error.code.as_str(), error.retryable, error.user_error), ("template_not_for_local", false, true));
    stage.all_acknowledged().await;
    stage.stop().await;
}

#[tokio::test]
async fn what_takes_too_long_is_a_retryable_timeout() {
    let mut stage = Stage::new().await;
    let slow: Arc<dyn Driver> =
        Arc::new(Noop::open(Knobs { delay: Duration::from_secs(600), ..Knobs::default() }).unwrap());
    stage.start(Config { command_timeout: Duration::from_millis(100), ..stage.config() }, slow);
    stage.next::<Heartbeat>(subject::HEARTBEAT).await;
    topology::declare_controller_consumer(&stage.jetstream, &stage.platform, &stage.id).await.unwrap();
    stage.send(Verb::SessionCreate, &serde_json::to_value(create(Uuid::new_v4(), 1)).unwrap()).await;
    assert_eq!(stage.status().await.status, SessionState::Creating);
    let error = stage.status().await.error.unwrap();
    assert_eq!((error.code.as_str(), error.retryable), ("timeout", true));
    stage.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_parked_and_not_tried_again() {
    let mut stage = Stage::new().await;
    stage.begin(noop(None)).await;
    let subject = subject::command(Verb::SessionCreate, &stage.platform, &stage.id);
    stage.jetstream.publish(subject.clone(), "not json".into()).await.unwrap().await.unwrap();
    let parked = timeout(PATIENCE, async {
        loop {
            let message = stage.reports.next().await.unwrap();
            if message.subject.as_str() == subject::dead_letter(&subject) {
                return message;
            }
        }
    });
    assert_eq!(parked.await.unwrap().payload.as_ref(), b"not json");
    stage.all_acknowledged().await;
    stage.stop().await;
}

#[tokio::test]
async fn a_command_that_comes_again_acts_once() {
    let (world, session) = (world::World::new(), Uuid::new_v4());
    let mut stage = Stage::new().await;
    stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    let order = serde_json::to_value(create(session, 1)).unwrap();
    let mut pids = Vec::new();
    for _ in 0..2 {
        stage.send(Verb::SessionCreate, &order).await;
        while stage.status().await.status != SessionState::Running {}
        pids.push(world::processes(&session.to_string()));
    }
    assert_eq!(pids[0].len(), 1);
    assert_eq!(pids[0], pids[1]);
    stage.stop().await;
}

#[tokio::test]
async fn a_late_create_does_not_revive_what_was_deleted() {
    let (mut stage, session) = (Stage::new().await, Uuid::new_v4());
    let driver = noop(None);
    stage.begin(driver.clone()).await;
    let order = serde_json::to_value(create(session, 1)).unwrap();
    stage.send(Verb::SessionCreate, &order).await;
    assert_eq!(stage.status().await.status, SessionState::Running);
    stage.send(Verb::SessionDelete, &command(session, 2)).await;
    assert_eq!(stage.status().await.status, SessionState::Deleted);
    stage.send(Verb::SessionCreate, &order).await;
    let answer = stage.status().await;
    assert_eq!((answer.status, answer.generation), (SessionState::Deleted, Some(2)));
    assert!(driver.list().await.unwrap().is_empty());
    stage.stop().await;
}

#[tokio::test]
async fn the_whole_world_is_told_at_the_start_and_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let mut stage = Stage::new().await;
    stage.begin(noop(Some(&journal))).await;
    let sessions = (0..450).map(|_| Uuid::new_v4()).collect::<Vec<_>>();
    for session in &sessions {
        stage.send(Verb::SessionCreate, &serde_json::to_value(create(*session, 7)).unwrap()).await;
    }
    stage.all_acknowledged().await;
    stage.stop().await;

    stage.start(stage.config(), noop(Some(&journal)));
    let at_start = stage.whole_world().await;
    let sync = Uuid::now_v7();
    let asked = json!({ "event_id": sync, "timestamp": Utc::now() });
    stage.client.publish(subject::sync(&stage.platform, &stage.id), asked.to_string().into()).await.unwrap();
    let when_asked = stage.whole_world().await;
    for (parts, (_, told)) in [(3, &at_start), (3, &when_asked)] {
        assert_eq!(told.len(), parts * 150);
        assert!(sessions.iter().all(|session| told.get(session) == Some(&(SessionState::Running, Some(7)))));
    }
    assert_eq!(when_asked.0, sync);
    assert_ne!(at_start.0, sync);
    stage.stop().await;
}

#[tokio::test]
async fn a_stop_finishes_what_was_started_and_says_goodbye() {
    let (mut stage, session) = (Stage::new().await, Uuid::new_v4());
    let slow = Arc::new(Noop::open(Knobs { delay: Duration::from_millis(300), ..Knobs::default() }).unwrap());
    stage.begin(slow).await;
    stage.send(Verb::SessionCreate, &serde_json::to_value(create(session, 1)).unwrap()).await;
    assert_eq!(stage.status().await.status, SessionState::Creating);
    stage.stop().await;
    assert_eq!(stage.status().await.status, SessionState::Running);
    while stage.next::<Heartbeat>(subject::HEARTBEAT).await.status != streams::wire::ControllerHealth::Unhealthy {}
    stage.all_acknowledged().await;
}

impl Stage {
    /// All parts up to the end marker.
    async fn whole_world(&mut self) -> (Uuid, HashMap<Uuid, (SessionState, Option<i64>)>) {
        let (mut told, mut from) = (HashMap::new(), Some(Uuid::nil()));
        for part in 0.. {
            let world = self.next::<World>("streamspace.controller.world.test.host-1").await;
            assert_eq!(world.part, part);
            let span = world.span.expect("a part says which ids it tells of");
            let within = |id: Uuid| span.from <= id && span.until.is_none_or(|until| id < until);
            assert!(world.sessions.iter().all(|item| within(item.session_id)), "{span:?}");
            assert_eq!((Some(span.from), span.until.is_none()), (from, world.last), "no gap between two parts");
            from = span.until;
            told.extend(world.sessions.iter().map(|item| (item.session_id, (item.status, item.generation))));
            if world.last {
                return (world.sync_id, told);
            }
        }
        unreachable!("a world ends")
    }
}

#[tokio::test]
async fn the_world_of_the_last_run_is_the_world_of_this_one() {
    let (world, session) = (world::World::new(), Uuid::new_v4());
    let mut stage = Stage::new().await;
    let (before, _) = stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    stage.send(Verb::SessionCreate, &serde_json::to_value(create(session, 1)).unwrap()).await;
    while stage.status().await.status != SessionState::Running {}
    stage.stop().await;
    let pid = world.pid(session);
    world::kill(pid);
    until("it is gone", || !world::alive(pid)).await;
    fs::metadata(world.session_folder(session)).unwrap();
    let (after, told) = stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    assert_eq!(after.world_id, before.world_id);
    assert_ne!(Some(told.instance_id), before.instance_id);
    assert_eq!(
        told.sessions.iter().map(|s| (s.session_id, s.status)).collect::<Vec<_>>(),
        [(session, SessionState::Failed)]
    );
    stage.stop().await;
}

fn app_status(status: AppState) -> impl Fn(&AppStatus) -> bool {
    move |said| said.status == status
}

#[tokio::test]
async fn an_install_is_announced_checked_and_reported_and_a_mistake_names_its_line() {
    let world = world::World::new();
    let mut stage = Stage::new().await;
    stage.begin(Arc::new(Local::open(world.config()).unwrap())).await;
    let install = |text: &str, generation: i64| {
        json!({ "event_id": Uuid::now_v7(), "timestamp": Utc::now(), "install_id": Uuid::nil(), "catalog_template_id": 1,
            "template_name": "paint", "display_name": "Paint", "manifest": text, "installed_by": "ann",
            "platform": "test", "generation": generation, "attempt": 1 })
    };
    let text = "apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: {name: paint}\nspec:\n  displayName: Paint\n  local:\n    command: [sh]\n";
    let order = install(text, 1);
    stage.send(Verb::AppInstall, &order).await;
    let mut said = Vec::new();
    while !said.last().is_some_and(app_status(AppState::Ready)) {
        said.push(stage.next::<AppStatus>("streamspace.app.status.test.host-1").await);
    }
    assert_eq!(said[0].status, AppState::Installing);
    assert!(said.iter().any(|said| said.message.as_deref().is_some_and(|m| m.contains("looks whether"))), "{said:?}");
    let ready = said.last().unwrap();
    assert_eq!((json!(ready.causation_id), ready.generation), (order["event_id"].clone(), Some(1)));

    stage.send(Verb::AppInstall, &install(&text.replace("[sh]", "[no-such-program]"), 2)).await;
    let failed = loop {
        let said = stage.next::<AppStatus>("streamspace.app.status.test.host-1").await;
        if app_status(AppState::Failed)(&said) {
            break said.error.unwrap();
        }
    };
    assert!(failed.user_error && failed.message.starts_with("line 7: spec.local.command"), "{failed:?}");
    stage.all_acknowledged().await;
    stage.stop().await;
}

#[tokio::test]
async fn a_command_stays_until_its_report_is_kept_however_long_the_reports_are_full() {
    let mut stage = Stage::new().await;
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    stage.begin(noop(Some(&journal))).await;
    let few = topology::Limits { messages: topology::Limits::LEAST_MESSAGES, ..topology::Limits::REPORTS };
    let settings = topology::Settings { reports: few, ..topology::Settings::default() };
    topology::declare(&stage.jetstream, &settings, 1).await.unwrap();
    let fill = || async { stage.jetstream.publish("streamspace.node.status", "x".into()).await.unwrap().await };
    while fill().await.is_ok() {}
    let sessions: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    for session in &sessions {
        stage.send(Verb::SessionCreate, &serde_json::to_value(create(*session, 1)).unwrap()).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await; // long enough for several tries
    assert_eq!(stage.open_commands().await, 20, "none is acknowledged before it is reported");
    let told = drain(&stage, 20).await;
    stage.all_acknowledged().await;
    assert_eq!(told, sessions.into_iter().collect::<HashSet<_>>());
    let effects = controllers::drivers::noop::history(&journal).unwrap();
    assert_eq!(effects.iter().map(|effect| effect.session_id).collect::<HashSet<_>>().len(), 20);
    assert_eq!(effects.len(), 20, "nothing is done twice");
    stage.stop().await;
}

/// Reads what the stream of reports holds until so many sessions were told to run.
async fn drain(stage: &Stage, running: usize) -> HashSet<Uuid> {
    topology::declare_engine_consumers(&stage.jetstream).await.unwrap();
    let consumer = topology::bind_engine_consumer(&stage.jetstream, topology::SS_REPORTS).await.unwrap().unwrap();
    let (mut messages, mut told) = (consumer.messages().await.unwrap(), HashSet::new());
    while told.len() < running {
        let message = timeout(PATIENCE, messages.next()).await.expect("a report").unwrap().unwrap();
        message.ack().await.unwrap();
        let status = serde_json::from_slice::<SessionStatus>(&message.payload).ok();
        told.extend(status.filter(|status| status.status == SessionState::Running).map(|status| status.session_id));
    }
    told
}

/// Answers each heartbeat on a subject, and tells of it.
async fn engine_on(
    client: &async_nats::Client,
    subject: String,
    accepted: bool,
) -> tokio::sync::mpsc::UnboundedReceiver<Heartbeat> {
    let (heard, hears) = tokio::sync::mpsc::unbounded_channel();
    let mut beats = client.subscribe(subject).await.unwrap();
    client.flush().await.unwrap();
    let client = client.clone();
    tokio::spawn(async move {
        while let Some(beat) = beats.next().await {
            let answer = json!({ "accepted": accepted, "reason": "not here" });
            client.publish(beat.reply.unwrap(), answer.to_string().into()).await.unwrap();
            if heard.send(serde_json::from_slice(&beat.payload).unwrap()).is_err() {
                return; // this engine has ended, and its subscription ends with it
            }
        }
    });
    hears
}

#[tokio::test]
async fn a_controller_beats_on_its_own_subject_and_falls_back_to_the_shared_one_where_nobody_responds() {
    let nats = nats().await;
    let client = nats.declared().await.unwrap().client;
    let (platform, id) = (Platform::try_new("test").unwrap(), ControllerId::try_new("host-1").unwrap());
    let own = subject::heartbeat(&platform, &id);
    assert_eq!(own, "streamspace.controller.heartbeat.test.host-1");
    let mut old = engine_on(&client, subject::HEARTBEAT.into(), true).await;
    let interval = Duration::from_millis(100);
    let config = Config { heartbeat_interval: interval, ..Config::new(id, platform, nats.config("controller")) };
    let cancel = CancellationToken::new();
    let running =
        tokio::spawn(controllers::run(config, Arc::new(Noop::open(Knobs::default()).unwrap()), cancel.clone()));
    let beat = timeout(PATIENCE, old.recv()).await.unwrap().unwrap();
    assert_eq!(beat.controller_id, "host-1");

    let mut new = engine_on(&client, own, true).await;
    for _ in 0..3 {
        timeout(PATIENCE, new.recv()).await.unwrap().unwrap();
    }
    while old.try_recv().is_ok() {}
    timeout(PATIENCE, new.recv()).await.unwrap().unwrap();
    assert!(old.try_recv().is_err(), "nothing more on the subject that all share");

    drop(new);
    timeout(PATIENCE, old.recv()).await.unwrap().unwrap();
    cancel.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_on_the_shared_subject_counts_only_where_nobody_takes_the_beat_on_the_own_one() {
    let nats = nats().await;
    let client = nats.declared().await.unwrap().client;
    let (platform, id) = (Platform::try_new("test").unwrap(), ControllerId::try_new("host-1").unwrap());
    let mut old = engine_on(&client, subject::HEARTBEAT.into(), false).await;
    let interval = Duration::from_millis(100);
    let own = subject::heartbeat(&platform, &id);
    let config = Config { heartbeat_interval: interval, ..Config::new(id, platform, nats.config("controller")) };
    let cancel = CancellationToken::new();
    let mut running =
        tokio::spawn(controllers::run(config, Arc::new(Noop::open(Knobs::default()).unwrap()), cancel.clone()));
    timeout(PATIENCE, old.recv()).await.unwrap().unwrap();
    let mut new = engine_on(&client, own, true).await;
    for _ in 0..3 {
        timeout(PATIENCE, new.recv()).await.unwrap().unwrap();
    }
    assert!(timeout(Duration::from_millis(50), &mut running).await.is_err(), "it was not sent away");
    cancel.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}
