//! What ends something is not kept back behind what starts something.

use std::time::Duration;

use engine::CreateSession;
use engine::writer::Ask;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::rig::{Controller, Rig, eventually, heartbeat, request};

/// How long an end may take from its acceptance to its controller.
const SOON: Duration = Duration::from_secs(2);

/// Says how many slots the controller has, and whether ends pass them.
async fn has(rig: &Rig, controller: &Controller, slots: u32, ends_pass: bool) {
    let mut beat = heartbeat(2, controller.instance);
    beat["capacity"] = json!({ "sessions_max": 10_000, "sessions": 0, "slots": slots, "ends_pass": ends_pass });
    rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
    eventually("the heartbeat is known", || async {
        let row = engine::queries::controller(rig.engine.reader(), crate::rig::OWNER).await.expect("readable")?;
        Some(()).filter(|()| row.capacity["slots"] == slots)
    })
    .await;
}

async fn crowd(rig: &Rig, count: usize) -> Vec<Uuid> {
    let accepted = join_all((0..count).map(|i| {
        let asked = CreateSession { user_id: format!("user-{}", i % 50), ..request() };
        rig.engine.create_session(asked)
    }));
    accepted.await.into_iter().map(|row| row.expect("accepted").session_id).collect()
}

/// Takes commands until one is a deletion of this session; answers what came before it.
async fn deleted(controller: &mut Controller, session: Uuid) -> usize {
    for before in 0.. {
        let command = timeout(SOON, controller.take()).await.expect("an end comes at once");
        if command["session_id"] == session.to_string() && command["template_id"] == Value::Null {
            controller.report(&command, "deleted").await;
            return before;
        }
    }
    unreachable!("it is taken or the time is up")
}

async fn ends_pass_two_thousand_starts_that_were_begun(rig: Rig) {
    let mut controller = rig.controller().await;
    has(&rig, &controller, 16, true).await;
    let (running, _) = rig.running(&mut controller).await;
    let crowd = crowd(&rig, 2_000).await;
    let mut begun = Vec::new();
    while begun.len() < crowd.len() {
        let command = controller.take().await;
        controller.report(&command, "creating").await;
        begun.push(command["session_id"].clone());
    }
    let starting = crowd[700];
    for session in [running, starting] {
        let asked = Instant::now();
        rig.engine.ask(session, Ask::Delete { force: false }).await.expect("accepted");
        assert_eq!(deleted(&mut controller, session).await, 0, "nothing comes before it");
        rig.until(session, "deleted").await;
        assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn ends_pass_two_thousand_starts_that_were_begun_on_sqlite() {
    ends_pass_two_thousand_starts_that_were_begun(Rig::sqlite().await).await;
}

#[tokio::test]
async fn ends_pass_two_thousand_starts_that_were_begun_on_postgresql() {
    ends_pass_two_thousand_starts_that_were_begun(Rig::postgres().await).await;
}

async fn ends_go_out_while_a_window_is_full(rig: Rig) {
    let mut controller = rig.controller().await;
    has(&rig, &controller, 16, true).await;
    let (running, _) = rig.running(&mut controller).await;
    crowd(&rig, 300).await;
    rig.engine.ask(running, Ask::Delete { force: false }).await.expect("accepted");
    let before = deleted(&mut controller, running).await;
    assert!(before <= 65, "a window before it, and there were {before}");
}

#[tokio::test]
async fn ends_go_out_while_a_window_is_full_on_sqlite() {
    ends_go_out_while_a_window_is_full(Rig::sqlite().await).await;
}

#[tokio::test]
async fn ends_go_out_while_a_window_is_full_on_postgresql() {
    ends_go_out_while_a_window_is_full(Rig::postgres().await).await;
}

/// A controller of the version before: a command holds a slot until it is done, and nothing is pulled without a free one.
#[tokio::test]
async fn a_controller_whose_ends_need_slots_is_left_some_for_them() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    has(&rig, &controller, 16, false).await;
    let (running, _) = rig.running(&mut controller).await;
    rig.clock.advance(Duration::from_secs(1));
    let crowd = crowd(&rig, 100).await;
    let mut slots = 0;
    while let Ok(command) = timeout(SOON, controller.take()).await {
        controller.report(&command, "creating").await;
        slots += 1;
        assert!(slots < 16, "no slot is left");
    }
    rig.engine.ask(running, Ask::Delete { force: false }).await.expect("accepted");
    assert_eq!(deleted(&mut controller, running).await, 0);
    let waiting = crowd[99];
    rig.engine.ask(waiting, Ask::Delete { force: false }).await.expect("accepted");
    assert_eq!(deleted(&mut controller, waiting).await, 0, "what never went out is ended as well");
    rig.until(waiting, "deleted").await;
}
