//! The runtime against a real NATS server, with the streams as the engine declares them.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use controllers::{
    Config, Driver,
    driver::Spec,
    testing::{PATIENCE, Stage, command},
};
use driver_noop::{Knobs, Noop};
use futures::StreamExt;
use serde_json::json;
use streams::{
    subject::{self, Verb},
    topology,
    wire::{Heartbeat, SessionCreate, SessionState, SessionStatus, World},
};
use tokio::time::timeout;
use uuid::Uuid;

pub(crate) fn create(session: Uuid, generation: i64) -> SessionCreate {
    controllers::testing::create(session, generation, Spec { template_id: "test".into(), ..Spec::default() })
}

pub(crate) fn noop(journal: Option<&Path>) -> Arc<dyn Driver> {
    Arc::new(Noop::open(Knobs { journal: journal.map(Into::into), ..Knobs::default() }).unwrap())
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
    let at_start = whole_world(&mut stage).await;
    let sync = Uuid::now_v7();
    let asked = json!({ "event_id": sync, "timestamp": Utc::now() });
    stage.client.publish(subject::sync(&stage.platform, &stage.id), asked.to_string().into()).await.unwrap();
    let when_asked = whole_world(&mut stage).await;
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

/// All pages of an inventory up to the end marker.
async fn whole_world(stage: &mut Stage) -> (Uuid, HashMap<Uuid, (SessionState, Option<i64>)>) {
    let (mut told, mut from) = (HashMap::new(), Some(Uuid::nil()));
    for part in 0.. {
        let world = stage.next::<World>("streamspace.controller.world.test.host-1").await;
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
    let effects = driver_noop::history(&journal).unwrap();
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
